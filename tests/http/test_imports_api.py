"""Imports over REST: every kind of file, the same errors, and nothing without the scope."""

from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import Sample
from tests.db.test_import_arrow import LECTURES, LONGWRITER_V, arrow_stream, parquet
from tests.http.conftest import Script, World
from tests.support.imports import DECK, archive, lines, picture, row


def address(world: World, query: str = "") -> str:
    return f"/api/v1/projects/{world.project.name}/imports{query}"


def added(db: Session, world: World) -> int:
    count = select(func.count()).where(Sample.project_id == world.project.id)
    return (db.scalar(count) or 0) - 1


FILES = {
    "samples.jsonl": (lines(row(1), row(2)), 2),
    "samples.json": (b'[{"conversations": [{"from": "human", "value": "Write."}]}]', 1),
    "train.parquet": (parquet(LONGWRITER_V, LECTURES), 5),
    "data.arrow": (arrow_stream(LONGWRITER_V, LECTURES), 5),
    "Packaging.pdf": (DECK.read_bytes(), 1),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_imported_as_body_and_again_from_a_form(
    script: Script, world: World, db: Session, name: str
) -> None:
    content, samples = FILES[name]
    client = script(world.admin, "imports:write")
    first = client.post(address(world, f"?name={name}&policy=qwen"), content=content)
    assert first.status_code == 201, first.text
    assert (first.json()["added"], first.json()["name"]) == (samples, name)
    assert added(db, world) == samples
    again = client.post(address(world), files={"file": (name, content)})
    assert (again.json()["added"], again.json()["unchanged"]) == (0, samples)


def test_an_archive_is_imported_with_mapped_columns(
    script: Script, world: World, db: Session, tmp_path: Path
) -> None:
    rows = lines({"frage": "Was?", "images": ["a.png"]})
    packed = archive(tmp_path / "s.zip", {"s.jsonl": rows, "a.png": picture()}).read_bytes()
    client = script(world.admin, "imports:write")
    answer = client.post(
        address(world, "?map=instruction=frage"), files={"file": ("s.zip", packed)}
    )
    assert answer.status_code == 201
    assert answer.json()["images"] == 1


def test_errors_name_their_places(script: Script, world: World, db: Session) -> None:
    client = script(world.admin, "imports:write")
    broken = lines(row(1), row(2, length="long"))
    answer = client.post(address(world, "?name=s.jsonl"), content=broken)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"] == [
        {
            "field": "s.jsonl, line 2, length",
            "detail": "A whole number of words, above 0, is needed.",
        }
    ]
    assert added(db, world) == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (picture(), "This is an image."),
        (b"<!doctype html>", "This is a web page (HTML)."),
        (lines(row(1)).decode().encode("utf-16"), "This is UTF-16 text."),
        (b"{'bad'}\n" * 10_000, "10,000 times, first in "),
    ],
)
def test_what_is_no_import_is_one_clear_message(
    script: Script, world: World, content: bytes, sentence: str
) -> None:
    answer = script(world.admin, "imports:write").post(address(world), content=content)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]
    assert len(answer.json()["errors"]) == 1


def test_a_file_is_needed(script: Script, world: World) -> None:
    answer = script(world.admin, "imports:write").post(address(world))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file")


def test_only_an_admins_token_with_the_scope_imports(script: Script, world: World) -> None:
    for user, scope in ((world.admin, "pairs:read"), (world.trainer, "imports:write")):
        answer = script(user, scope).post(address(world), content=lines(row(1)))
        assert answer.status_code == 403


def test_an_unknown_project_does_not_exist(script: Script, world: World) -> None:
    client = script(world.admin, "imports:write")
    assert client.post("/api/v1/projects/none/imports", content=b"{}").status_code == 404
