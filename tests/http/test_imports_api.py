"""Imports over REST: every kind of file, the same errors, and nothing without the scope."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.models import Import, ImportState, Sample
from app.samples.imports import attempts
from tests.http.conftest import Script, Work, World
from tests.support.factories import add_project
from tests.support.imports import animation, archive, lines, picture, row


def address(world: World, query: str = "") -> str:
    return f"/api/v1/projects/{world.project.name}/imports{query}"


def added(db: Session, world: World) -> int:
    count = select(func.count()).where(Sample.project_id == world.project.id)
    return (db.scalar(count) or 0) - 1


Send = Callable[..., dict[str, Any]]


@pytest.fixture
def client(script: Script, world: World) -> TestClient:
    """An admin's script with the scope."""
    return script(world.admin, "imports:write")


@pytest.fixture
def send(client: TestClient, world: World, work: Work) -> Send:
    """Sends a file, has a worker import it, and asks for the import."""

    def sent(query: str = "", **body: Any) -> dict[str, Any]:
        answer = client.post(address(world, query), **body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "waiting"
        work()
        found: dict[str, Any] = client.get(answer.headers["location"]).json()
        assert found["id"] == answer.json()["id"]
        return found

    return sent


def test_an_import_is_a_row_that_tells_its_state(
    client: TestClient, send: Send, world: World, db: Session
) -> None:
    done = send("?name=samples.jsonl&policy=qwen", content=lines(row(1), row(2)))
    assert (done["state"], done["progress"], done["seconds_left"]) == ("done", 1.0, None)
    assert (done["name"], done["project"]) == ("samples.jsonl", world.project.name)
    assert done["created_by"] == world.admin.display_name
    assert done["report"] == {
        "added": 2, "unchanged": 0, "images": 0, "segments": 4, "recut": 0, "notices": []
    }  # fmt: skip
    assert (done["error"], done["errors"]) == (None, [])
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    assert added(db, world) == 2
    again = send(files={"file": ("samples.jsonl", lines(row(1), row(2)))})
    assert (again["report"]["added"], again["report"]["unchanged"]) == (0, 2)
    listed = client.get(address(world)).json()["imports"]
    assert listed == [again, done]


def test_an_archive_is_imported_with_mapped_columns(send: Send, tmp_path: Path) -> None:
    rows = lines({"frage": "Was?", "images": ["a.png"]})
    packed = archive(tmp_path / "s.zip", {"s.jsonl": rows, "a.png": picture()}).read_bytes()
    found = send("?map=instruction=frage", files={"file": ("s.zip", packed)})
    assert found["report"]["images"] == 1


def test_notices_tell_what_a_page_tells(
    send: Send, world: World, db: Session, tmp_path: Path
) -> None:
    world.project.rule = None
    db.commit()
    rows = lines(
        row(1, images=["a.gif"]), row(2, output="I'm sorry, but I can't assist with that request.")
    )
    packed = archive(tmp_path / "s.zip", {"s.jsonl": rows, "a.gif": animation()}).read_bytes()
    found = send(files={"file": ("s.zip", packed)})
    assert [notice.partition(":")[0] for notice in found["report"]["notices"]] == [
        "The project's texts are cut before slide headings from now on",
        "Outputs that look like an error of an API, not like a text",
        "Animated images",
    ]


def test_errors_name_their_places(send: Send, world: World, db: Session) -> None:
    found = send("?name=s.jsonl", content=lines(row(1), row(2, length="long")))
    assert (found["state"], found["report"]) == ("failed", None)
    assert found["error"].startswith("Nothing was imported: 1 error.")
    assert found["errors"] == [
        {
            "field": "s.jsonl, line 2, length",
            "detail": "A whole number of words, above 0, is needed.",
            "times": 1,
        }
    ]
    assert added(db, world) == 0


def test_who_waits_is_answered_in_time(client: TestClient, world: World, work: Work) -> None:
    answer = client.post(address(world), content=lines(row(1)))
    place = answer.headers["location"]
    began = time.monotonic()
    assert client.get(f"{place}?wait=1").json()["state"] == "waiting"
    assert 0.9 < time.monotonic() - began < 20
    work()
    began = time.monotonic()
    assert client.get(f"{place}?wait=60").json()["state"] == "done"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("wait", ["-1", "61", "long"])
def test_a_wait_that_is_none_is_refused(client: TestClient, world: World, wait: str) -> None:
    answer = client.get(f"{address(world)}/1?wait={wait}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "wait"


def test_a_file_is_needed(client: TestClient, world: World) -> None:
    answer = client.post(address(world))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file")


@pytest.mark.parametrize(
    ("query", "field"), [("?policy=%00", "policy"), ("?instruction=%00", "instruction")]
)
def test_what_can_be_refused_at_once_is(
    client: TestClient, world: World, query: str, field: str
) -> None:
    answer = client.post(address(world, query), content=lines(row(1)))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_only_an_admins_token_with_the_scope_imports_and_looks(
    script: Script, client: TestClient, world: World
) -> None:
    place = client.post(address(world), content=lines(row(1))).headers["location"]
    for user, scope in ((world.admin, "pairs:read"), (world.trainer, "imports:write")):
        stranger = script(user, scope)
        answers = [
            stranger.post(address(world), content=lines(row(1))),
            stranger.get(address(world)),
            stranger.get(place),
            stranger.get(f"{place}?wait=5"),
        ]
        assert [answer.status_code for answer in answers] == [403] * 4


def test_what_is_not_there_does_not_exist(client: TestClient, world: World, db: Session) -> None:
    place = client.post(address(world), content=lines(row(1))).headers["location"]
    other = add_project(db)
    db.commit()
    number = place.rpartition("/")[2]
    for missing in ("none/imports", f"none/imports/{number}", f"{other.name}/imports/{number}"):
        assert client.get(f"/api/v1/projects/{missing}").status_code == 404
    assert client.get(f"{address(world)}/999999?wait=5").status_code == 404
    assert client.post("/api/v1/projects/none/imports", content=b"{}").status_code == 404


def test_imports_into_one_project_wait_for_each_other(
    client: TestClient, world: World, db: Session, work: Work
) -> None:
    for number in (1, 2):
        client.post(address(world), content=lines(row(number)))
    first, second = db.scalars(select(Import).order_by(Import.id.desc()).limit(2)).all()[::-1]
    held = attempts.start(db, import_id=first.id, worker="other", lease_s=60)
    assert held is not None
    work()
    db.refresh(second)
    assert second.state is ImportState.WAITING
    assert attempts.give_back(db, import_id=first.id, worker="other")
    db.commit()
    work()
    assert added(db, world) == 2
