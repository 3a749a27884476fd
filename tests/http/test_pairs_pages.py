"""The pages of pairs, and the export that an admin downloads."""

import hashlib
import io
import json
import re
import zipfile

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.annotation.edits import assignment
from app.models import AuditEvent, Correction, Sample
from app.pairs import views
from tests.db.conftest import Desk
from tests.http.conftest import World
from tests.support.factories import add_draft, add_sample
from tests.support.pairing import add_pair, show_images


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
    for path in ("pairs", "pairs/count", f"pairs/{pair.id}"):
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
    monkeypatch.setattr(views, "PAGE", 2)
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


def test_a_long_list_counts_so_far_and_asks_for_the_rest(
    admin: TestClient, db: Session, world: World, pair: Correction, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = address(world, "pairs/count")
    assert f'hx-get="{rest}' not in admin.get(address(world)).text
    add_pair(db, sample=db.get_one(Sample, pair.sample_id), number=1, text="New.", user=world.owner)
    db.commit()
    monkeypatch.setattr(views, "COUNTED", 1)
    page = admin.get(address(world, "pairs?kind=rewrite")).text
    assert f'hx-get="{rest}?kind=rewrite"' in page
    assert ">1+</small>" in page
    counted = admin.get(f"{rest}?kind=rewrite").text
    assert ">2</small>" in counted
    assert "hx-get" not in counted


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


def test_filters_of_the_page_stand_in_its_address(
    admin: TestClient, world: World, pair: Correction
) -> None:
    with_pair = admin.get(address(world, "pairs?min_position=1&annotator=&since=")).text
    assert f'id="p{pair.id}"' in with_pair
    assert "min_position=1" in with_pair
    without = admin.get(address(world, "pairs?min_position=2")).text
    assert "No pair meets these filters" in without
    assert admin.get(address(world, "pairs?min_position=x")).status_code == 422


def test_the_gate_says_what_it_found_and_shows_it(
    admin: TestClient, trainer: TestClient, db: Session, world: World, sample: Sample
) -> None:
    bad = add_pair(db, sample=sample, number=3, text="Bell\x07.\n\n", user=world.owner)
    db.commit()
    page = trainer.get(address(world, "pairs/gate"))
    assert "0 of 1 pairs can be exported" in page.text
    assert "found=control#list" in page.text
    shown = admin.get(address(world, "pairs/gate?found=control")).text
    assert f'id="p{bad.id}"' in shown
    allowed = admin.get(address(world, "pairs/gate?allow=control")).text
    assert "1 of 1 pairs can be exported" in allowed
    assert admin.get(address(world, "pairs/gate?allow=empty")).status_code == 422


def test_an_export_takes_the_filters_and_the_gate_of_its_address(
    admin: TestClient, db: Session, world: World, sample: Sample, pair: Correction
) -> None:
    bad = add_pair(db, sample=sample, number=3, text="Bell\x07.\n\n", user=world.owner)
    db.commit()
    response = admin.get(address(world, "export?format=raw&min_position=2&allow=control"))
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    (row,) = map(json.loads, archive.read("raw/pairs.jsonl").splitlines())
    assert row["pair_id"] == str(bad.id)
    manifest = json.loads(archive.read("raw/manifest.yaml"))
    assert manifest["filter"] == {"min_position": 2, "project": [world.project.name]}
    assert manifest["gate"]["allowed"] == ["control"]
    digest = hashlib.sha256(archive.read("raw/pairs.jsonl")).hexdigest()
    assert manifest["files"]["pairs.jsonl"] == digest


def test_an_admin_takes_a_pair_back_with_a_reason(
    admin: TestClient, db: Session, world: World, pair: Correction
) -> None:
    path = address(world, f"pairs/{pair.id}/retraction")
    assert admin.post(path, data={"reason": " "}).status_code == 422
    assert admin.post(path, data={"reason": "The figure is misread."}).status_code == 303
    assert "The figure is misread." in admin.get(address(world, f"pairs/{pair.id}")).text
    assert f'id="p{pair.id}"' not in admin.get(address(world)).text
    assert admin.post(path, data={"reason": "Again."}).status_code == 409
    event = db.scalars(select(AuditEvent).where(AuditEvent.action == "retracted")).one()
    assert (event.object, event.actor_id) == (f"pair:{pair.id}", world.admin.id)


def test_only_admins_take_pairs_back(
    owner: TestClient, trainer: TestClient, stranger: TestClient, world: World, pair: Correction
) -> None:
    path = address(world, f"pairs/{pair.id}/retraction")
    for browser in (owner, trainer, stranger):
        assert browser.post(path, data={"reason": "Because."}).status_code == 403
    assert pair.retracted_at is None


def test_an_admin_takes_home_what_was_accepted(
    admin: TestClient, db: Session, world: World, sample: Sample
) -> None:
    desk = Desk(db, add_draft(db, sample=sample, user=world.owner), world.owner)
    desk.accept(1)
    desk.delete(2)
    db.commit()
    response = admin.get(address(world, "export?format=kto"))
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    rows = [json.loads(line) for line in archive.read("kto/metadata.jsonl").splitlines()]
    assert [row["label"] for row in rows] == [True, False]
    assert {"kto/README.md", "kto/kto.yaml", "kto/manifest.yaml"} <= set(archive.namelist())
    assert all(f"kto/{file}" in archive.namelist() for file in rows[0]["images_file_names"])
    refused = admin.get(address(world, "export?format=kto&min_edit=3"))
    assert refused.status_code == 422
    assert "Judgements cannot be filtered by min_edit" in refused.text
    none = admin.get(address(world, "export?format=sft"))
    assert none.status_code == 409
    assert "has no outputs yet" in none.text


@pytest.mark.parametrize("format", ["sft", "parquet"])
def test_an_export_of_several_files_is_a_whole_zip(
    admin: TestClient, db: Session, world: World, sample: Sample, format: str
) -> None:
    desk = Desk(db, add_draft(db, sample=sample, user=world.owner), world.owner)
    desk.correct(1, "## Slide 1\nHello.")
    assignment.finish(db, draft=desk.draft, base_version=desk.draft.version)
    db.commit()
    archive = zipfile.ZipFile(
        io.BytesIO(admin.get(address(world, f"export?format={format}")).content)
    )
    assert archive.testzip() is None
    manifest = json.loads(archive.read(f"{format}/manifest.yaml"))
    for name, sha256 in manifest["files"].items():
        assert hashlib.sha256(archive.read(f"{format}/{name}")).hexdigest() == sha256
    assert {"sft": 6, "parquet": 3}[format] == len(manifest["files"]) + (format == "sft")


def test_the_gate_lists_what_a_format_cannot_hold(
    admin: TestClient, db: Session, world: World, sample: Sample
) -> None:
    made = add_pair(db, sample=sample, number=1, text="Write <image>.\n\n", user=world.owner)
    db.commit()
    page = admin.get(address(world, "pairs/gate?format=ms-swift&found=reserved")).text
    assert "0 of 1 pairs can be exported" in page
    assert f"pairs/{made.id}" in page
    assert 'value="ms-swift" selected>' in page
    assert "1 of 1 pairs can be exported" in admin.get(address(world, "pairs/gate")).text


def test_the_numbers_of_the_gate_can_be_any_and_not_nothing(
    admin: TestClient, world: World
) -> None:
    text = admin.get(f"/projects/{world.project.id}/pairs/gate?min_share=0.12").text
    fields = re.findall(r'<input[^>]*name="(?:min_share|max_tokens)"[^>]*>', text)
    assert len(fields) == 2
    # An empty one would be answered with an error page instead of with words beside the field.
    assert all(" required" in field for field in fields)
    assert 'step="any"' in fields[0]
    assert 'value="0.12"' in fields[0]
