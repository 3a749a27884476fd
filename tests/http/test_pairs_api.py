"""The REST API for trainers: who may read, how cursors, caches and compression work."""

import hashlib
import json
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from fastapi import FastAPI
from PIL import Image as Pillow
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.domain.filters import FILTERS
from app.models import Correction, Image, Sample, SampleImage, now
from tests.db.test_exported_pixels import EVERY, far_apart, llamafactory, ms_swift
from tests.http.conftest import Script, World
from tests.http.feed import address, rows
from tests.support.factories import add_project, add_sample
from tests.support.pairing import add_pair, show_images


def test_a_line_holds_all_of_a_pair(
    script: Script, world: World, sample: Sample, three: list[Correction]
) -> None:
    response = script(world.trainer).get(address(world))
    second = rows(response.content)[1]
    images = second.pop("images")
    cursor = second.pop("cursor")
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["x-next-cursor"] == str(cursor + 1)
    assert second == {
        "pair_id": str(three[1].id),
        "project": world.project.name,
        "sample": sample.source_id,
        "system": "",
        "turns": [],
        "image_places": [],
        "instruction": "Write a lecture script for these slides.",
        "prefix": "## Slide 1\nWelcome to the lecture.\n\n",
        "chosen": "Other 2.\n\n",
        "rejected": "## Slide 2\nThe chart shows 12 percent.\n\n",
        "ends_output": False,
        "on_policy": True,
        "position": 1,
        "kind": "rewrite",
        "annotator": world.owner.name,
        "policy": None,
        "created_at": three[1].created_at.isoformat(),
    }
    assert [image.rpartition("/api/v1/images/")[0] for image in images] == ["http://testserver"] * 2


def test_following_next_reads_everything_once(
    script: Script, world: World, three: list[Correction]
) -> None:
    client = script(world.trainer)
    url: str | None = address(world, limit=2)
    seen = []
    while url:
        response = client.get(url)
        seen += [row["pair_id"] for row in rows(response.content)]
        url = response.links.get("next", {}).get("url")
    assert seen == [str(pair.id) for pair in three]
    assert response.headers["x-next-cursor"] == str(rows(response.content)[-1]["cursor"])


def test_the_cursor_at_the_end_finds_what_comes_later(
    script: Script, world: World, db: Session, sample: Sample, three: list[Correction]
) -> None:
    client = script(world.trainer)
    end = client.get(address(world)).headers["x-next-cursor"]
    empty = client.get(address(world, after=end))
    assert (empty.content, empty.headers["x-next-cursor"]) == (b"", end)
    late = add_pair(db, sample=sample, number=4, text="Late.", user=world.owner)
    db.commit()
    (row,) = rows(client.get(address(world, after=end)).content)
    assert row["pair_id"] == str(late.id)
    assert row["ends_output"]


def test_a_pair_that_was_taken_back_is_not_sent(
    script: Script, world: World, db: Session, three: list[Correction]
) -> None:
    client = script(world.trainer)
    first = client.get(address(world))
    three[0].retracted_at = now()
    db.commit()
    second = client.get(address(world))
    assert len(rows(first.content)) == 3
    assert [row["pair_id"] for row in rows(second.content)] == [str(pair.id) for pair in three[1:]]
    assert first.headers["etag"] != second.headers["etag"]


def test_an_unchanged_stretch_answers_304(
    script: Script, world: World, three: list[Correction]
) -> None:
    client = script(world.trainer)
    first = client.get(address(world))
    again = client.get(address(world), headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-next-cursor"] == first.headers["x-next-cursor"]
    other = client.get(address(world), headers={"If-None-Match": 'W/"other"'})
    assert other.status_code == 200
    newest = max(pair.created_at for pair in three).replace(microsecond=0)
    assert parsedate_to_datetime(first.headers["last-modified"]) == newest


def test_texts_pass_byte_for_byte(
    script: Script, world: World, db: Session, sample: Sample
) -> None:
    text = "\r\n é 👩‍👩‍👧 \u2028\x85\x0b</script>\t\rend \n"
    add_pair(db, sample=sample, number=2, text=text, user=world.owner)
    db.commit()
    answer = script(world.trainer).get(address(world, allow="control"))
    (row,) = rows(answer.content)
    assert row["chosen"] == text
    # For a reader, too, whose lines end where Unicode's do.
    (line,) = answer.iter_lines()
    assert json.loads(line) == row


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 100_001}, {"after": -1}, {"after": "x"}])
def test_a_wrong_parameter_is_named(script: Script, world: World, query: dict[str, object]) -> None:
    response = script(world.trainer).get(address(world, **query))
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"][0]["field"] == next(iter(query))


def test_only_a_token_with_the_scope_reads(
    script: Script, world: World, trainer: TestClient, three: list[Correction]
) -> None:
    assert script(world.trainer).get(address(world)).status_code == 200
    assert script(world.admin).get(address(world)).status_code == 200
    assert script(world.trainer, "projects:read").get(address(world)).status_code == 403
    # A browser's cookie is no token.
    assert trainer.get(address(world)).status_code == 401


def test_another_project_does_not_exist_for_a_trainer(
    script: Script, world: World, db: Session, app: FastAPI
) -> None:
    hidden = add_project(db)
    shown = add_sample(db, project=hidden)
    (sha256,) = show_images(db, app.state.image_store, shown, "red")
    db.commit()
    client = script(world.trainer)
    for path in (f"/api/v1/pairs?project={hidden.name}", f"/api/v1/images/{sha256}"):
        response = client.get(path)
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"


def test_projects_lists_the_trainers_own(
    script: Script, world: World, three: list[Correction]
) -> None:
    body = script(world.trainer, "projects:read").get("/api/v1/projects").json()
    assert body == {
        "projects": [
            {
                "name": world.project.name,
                "title": world.project.title,
                "samples": 2,
                "done": 0,
                "in_progress": 2,
                "pairs": 3,
            }
        ]
    }


def test_filters_stand_in_the_address_and_in_the_next_one(
    script: Script, world: World, db: Session, sample: Sample, three: list[Correction]
) -> None:
    client = script(world.trainer)
    url: str | None = address(world, limit=1, min_position=1, allow="truncated")
    seen = []
    while url:
        response = client.get(url)
        seen += [row["pair_id"] for row in rows(response.content)]
        url = response.links.get("next", {}).get("url")
    assert seen == [str(pair.id) for pair in three[1:]]
    nobody = client.get(address(world, annotator="nobody"))
    assert (nobody.status_code, nobody.content) == (200, b"")


@pytest.mark.parametrize(
    ("name", "value"), [("polcy", "x"), ("kind", "x"), ("allow", "identical"), ("format", "csv")]
)
def test_a_mistyped_filter_does_not_give_all_pairs(
    script: Script, world: World, three: list[Correction], name: str, value: str
) -> None:
    response = script(world.trainer).get(address(world, **{name: value}))
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == name


def test_a_project_must_be_named(script: Script, world: World) -> None:
    response = script(world.trainer).get("/api/v1/pairs")
    assert response.json()["errors"][0]["field"] == "project"


def keep(db: Session, app: FastAPI, sample: Sample, data: bytes) -> str:
    """Have the sample show that image last."""
    facts = app.state.image_store.add(data).facts
    db.add(
        Image(
            sha256=facts.sha256,
            format=facts.format,
            width=facts.width,
            height=facts.height,
            size=facts.size,
        )
    )
    db.flush()
    db.add(SampleImage(sample_id=sample.id, position=9, sha256=facts.sha256))
    db.commit()
    return str(facts.sha256)


@pytest.mark.parametrize("name", EVERY)
def test_rows_for_trainers_that_turn_nothing_name_images_that_are_upright(
    script: Script,
    app: FastAPI,
    db: Session,
    world: World,
    sample: Sample,
    three: list[Correction],
    name: str,
    tmp_path: Path,
) -> None:
    sha256 = keep(db, app, sample, EVERY[name]())
    client = script(world.trainer)
    for format, read in (("llamafactory", llamafactory), ("ms-swift", ms_swift)):
        (row, *_) = rows(client.get(address(world, format=format)).content)
        named = row["images"][-1]
        named = named if isinstance(named, str) else named["path"]
        assert named.endswith(f"/api/v1/images/{sha256}/normalised")
        answer = client.get(named)
        assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
        file = tmp_path / "as-fetched"
        file.write_bytes(answer.content)
        store = app.state.image_store
        original = client.get(named.removesuffix("/normalised"))
        kind = original.headers["content-type"].removeprefix("image/")
        with Pillow.open(store.rendition(sha256, kind, 320)) as page:
            assert far_apart(page, read(file)) < 8
        again = client.get(named, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    # Who normalises by itself gets the originals.
    (row, *_) = rows(client.get(address(world, format="raw")).content)
    assert row["images"][-1].endswith(sha256)


def test_rows_come_in_any_format_of_rows(
    script: Script, world: World, three: list[Correction]
) -> None:
    (row, *_) = rows(script(world.trainer).get(address(world, format="trl")).content)
    assert row["prompt"].endswith("<|im_start|>assistant\n")
    # There are no files beside a feed: a row names addresses that its reader can open.
    assert script(world.trainer).get(row["images"][0]).status_code == 200
    assert "images_file_names" not in row
    assert row["cursor"] > 0
    other = script(world.trainer).get(address(world, format="trl", template="qwen3-vl"))
    assert rows(other.content)[0]["prompt"].startswith("<|im_start|>user")


def test_every_answer_tells_the_rate_limit(
    script: Script, world: World, three: list[Correction]
) -> None:
    answer = script(world.trainer).get(address(world))
    assert answer.headers["ratelimit-policy"] == '"requests";q=3000;w=60'
    assert answer.headers["ratelimit"] == '"requests";r=2999;t=60'


def test_what_a_token_may_not_do_counts_for_the_token(script: Script, world: World) -> None:
    client = script(world.trainer, "projects:read")
    answers = [client.get(address(world)), client.get("/api/v1/projects")]
    assert [answer.status_code for answer in answers] == [403, 200]
    assert answers[1].headers["ratelimit"].startswith('"requests";r=2998;')


def test_openapi_describes_the_lines(running_app: TestClient) -> None:
    schema = running_app.get("/api/v1/openapi.json").json()
    operation = schema["paths"]["/api/v1/pairs"]["get"]
    line = operation["responses"]["200"]["content"]["application/x-ndjson"]
    assert set(line["example"]) == set(line["schema"]["properties"])
    names = {parameter["name"] for parameter in operation["parameters"]}
    assert {"after", "limit", "format", "allow", *FILTERS} <= names
    project = next(one for one in operation["parameters"] if one["name"] == "project")
    assert project["required"]
    assert project["example"] == ["lectures"]


@pytest.mark.parametrize(
    ("format", "why"),
    [("kto", "made of judgements"), ("sft", "made of outputs"), ("parquet", "a table")],
)
def test_the_feed_sends_pairs_and_says_so(
    script: Script, world: World, three: list[Correction], format: str, why: str
) -> None:
    response = script(world.trainer).get(address(world, format=format))
    assert response.status_code == 422
    assert f"The format {format} is {why}" in response.text
    assert "trl-jsonl" in response.text
