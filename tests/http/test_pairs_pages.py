"""The pages of pairs, and the export that an admin downloads."""

import io
import json
import zipfile

import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.models import Correction, Sample
from app.pairs import pages
from tests.factories import add_sample
from tests.http.conftest import World
from tests.pairing import add_pair, show_images


@pytest.fixture
def sample(db: Session, app: FastAPI, world: World) -> Sample:
    sample = add_sample(db, project=world.project)
    show_images(db, app.state.image_store, sample, "white", "navy")
    db.commit()
    return sample


@pytest.fixture
def pair(db: Session, world: World, sample: Sample) -> Correction:
    made = add_pair(
        db,
        sample=sample,
        number=2,
        text="## Slide 2\nThe chart shows <b>21</b> percent.\n\n",
        user=world.owner,
    )
    db.commit()
    return made


def address(world: World, path: str = "pairs") -> str:
    return f"/projects/{world.project.id}/{path}"


def test_a_pair_is_shown_as_its_changes(
    admin: TestClient, trainer: TestClient, world: World, pair: Correction
) -> None:
    for browser in (admin, trainer):
        page = browser.get(address(world)).text
        assert "<del>12</del>" in page
        assert "<ins>&lt;b&gt;21&lt;/b&gt;</ins>" in page
        assert "Welcome to the lecture." in page
        whole = browser.get(address(world, f"pairs/{pair.id}")).text
        assert "Write a lecture script for these slides." in whole


def test_annotators_do_not_see_each_others_pairs(
    owner: TestClient, stranger: TestClient, visitor: TestClient, world: World, pair: Correction
) -> None:
    for path in ("pairs", f"pairs/{pair.id}"):
        assert owner.get(address(world, path)).status_code == 403
        assert stranger.get(address(world, path)).status_code == 404
        assert visitor.get(address(world, path)).status_code == 303


def test_no_pairs_yet_says_what_to_do(admin: TestClient, world: World) -> None:
    page = admin.get(address(world))
    assert "No pairs yet" in page.text
    assert f'href="/projects/{world.project.id}"' in page.text


def test_pairs_come_in_pages_newest_first(
    admin: TestClient, db: Session, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", 2)
    sample = add_sample(db, project=world.project)
    made = [
        add_pair(db, sample=sample, number=number, text=f"Other {number}.", user=world.owner).id
        for number in (1, 2, 3)
    ]
    db.commit()
    newest = admin.get(address(world)).text
    assert [f'id="p{number}"' in newest for number in made] == [False, True, True]
    older = admin.get(address(world, f"pairs?before={made[1]}")).text
    assert [f'id="p{number}"' in older for number in made] == [True, False, False]
    last = admin.get(address(world, f"pairs?before={made[0]}"))
    assert "That was the last page" in last.text


def test_an_admin_downloads_the_export(
    admin: TestClient, world: World, sample: Sample, pair: Correction
) -> None:
    response = admin.get(address(world, "export?template=qwen3-vl"))
    assert response.headers["content-type"] == "application/zip"
    assert f'filename="{world.project.name}-trl.zip"' in response.headers["content-disposition"]
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.testzip() is None
    (row,) = map(json.loads, archive.read("trl/metadata.jsonl").splitlines())
    assert row["prompt"].startswith("<|im_start|>user\n")
    assert set(archive.namelist()) == {
        "trl/README.md",
        "trl/dpo.yaml",
        "trl/manifest.yaml",
        "trl/metadata.jsonl",
        *(f"trl/{file}" for file in row["images_file_names"]),
    }


def test_an_export_without_pairs_says_why_there_is_none(admin: TestClient, world: World) -> None:
    response = admin.get(address(world, "export"))
    assert response.status_code == 409
    assert "has no pairs yet" in response.text


def test_only_admins_export(
    owner: TestClient, trainer: TestClient, visitor: TestClient, world: World, pair: Correction
) -> None:
    assert owner.get(address(world, "export")).status_code == 403
    assert trainer.get(address(world, "export")).status_code == 403
    assert visitor.get(address(world, "export")).status_code == 303
