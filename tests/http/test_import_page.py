"""The import page: files of admins into a project, every error in its place, nothing for others."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi import FastAPI
from httpx2 import Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from app.models import Sample
from app.settings import Settings
from tests.http.conftest import Work, World
from tests.support.factories import add_project
from tests.support.imports import DECK, animation, archive, lines, nested_forms, picture, row


def address(world: World) -> str:
    return f"/projects/{world.project.id}/import"


def added(db: Session, world: World) -> int:
    """How many samples the project has beside the one it began with."""
    count = select(func.count()).where(Sample.project_id == world.project.id)
    return (db.scalar(count) or 0) - 1


Send = Callable[..., Response]


@pytest.fixture
def send(admin: TestClient, world: World, work: Work) -> Send:
    """Sends a file by the form, has a worker import it, and looks at the page of the import."""

    def sent(**form: Any) -> Response:
        answer = admin.post(address(world), **form)
        assert answer.status_code == 303, answer.text
        assert "Waits for a worker" in admin.get(answer.headers["location"]).text
        work()
        return admin.get(answer.headers["location"])

    return sent


def test_an_admin_imports_a_jsonl_file(send: Send, world: World, db: Session) -> None:
    samples = lines(row(1), row(2))
    answer = send(files={"file": ("lectures.jsonl", samples)})
    assert answer.status_code == 200
    assert "2 samples were added" in answer.text
    assert added(db, world) == 2


def test_the_first_file_chooses_the_rule_and_the_page_says_why(
    send: Send, world: World, db: Session
) -> None:
    world.project.rule = None
    db.commit()
    samples = lines(row(1), row(2), row(3, output="One.\n\nTwo.\n\nThree."))
    answer = send(files={"file": ("s.jsonl", samples)})
    assert "cut before slide headings from now on: that fits 2 of the 3 outputs" in answer.text
    again = send(files={"file": ("s.jsonl", samples)})
    assert "from now on" not in again.text


def test_the_same_file_again_changes_nothing_and_says_so(
    send: Send, world: World, db: Session
) -> None:
    for _ in range(2):
        answer = send(files={"file": ("s.jsonl", lines(row(1)))})
    assert "Nothing was added from s.jsonl" in answer.text
    assert "1 sample was there already" in answer.text
    assert added(db, world) == 1


def test_an_admin_imports_a_zip_archive_with_images(
    send: Send, world: World, db: Session, tmp_path: Path
) -> None:
    files = {"in/s.jsonl": lines(row(images=["a.png"])), "in/a.png": picture()}
    packed = archive(tmp_path / "s.zip", files).read_bytes()
    answer = send(files={"file": ("s.zip", packed)})
    assert answer.status_code == 200
    assert added(db, world) == 1


def test_an_admin_imports_a_deck_with_its_text(send: Send, world: World, db: Session) -> None:
    answer = send(
        files={
            "file": ("Packaging.pdf", DECK.read_bytes()),
            "output": ("script.txt", b"## Slide 1\nWelcome.\n"),
        },
        data={"instruction": "Write the script.", "policy": "qwen"},
    )
    assert answer.status_code == 200
    sample = db.scalars(select(Sample).where(Sample.source_id == "Packaging")).one()
    assert sample.instruction == "Write the script."


def test_a_pdf_that_would_take_the_memory_of_the_machine_is_refused_and_the_app_lives(
    admin: TestClient, world: World, send: Send, db: Session
) -> None:
    began, before = time.monotonic(), psutil.Process().memory_info().rss
    answer = send(files={"file": ("deck.pdf", nested_forms())})
    assert time.monotonic() - began < 60
    assert psutil.Process().memory_info().rss - before < 100 * 2**20
    assert answer.status_code == 200
    assert answer.text.count("It takes more than 1,024 MiB of memory to decode") == 1
    assert "page 1" in answer.text
    assert added(db, world) == 0
    assert admin.get(address(world)).status_code == 200


def test_an_animation_is_imported_as_its_first_frame_and_the_page_says_so(
    send: Send, world: World, db: Session, tmp_path: Path
) -> None:
    files = {"in/s.jsonl": lines(row(images=["a.gif"])), "in/a.gif": animation()}
    packed = archive(tmp_path / "s.zip", files).read_bytes()
    answer = send(files={"file": ("s.zip", packed)})
    assert "Animated images: 1. People and models are shown the first frame of each." in answer.text
    again = send(files={"file": ("s.zip", packed)})
    assert "1 sample was there already" in again.text


def test_errors_name_file_line_and_field_and_nothing_is_imported(
    send: Send, world: World, db: Session
) -> None:
    samples = lines(row(1), row(2, length="long"), "{")
    answer = send(files={"file": ("lectures.jsonl", samples)})
    assert answer.status_code == 200
    for word in ("lectures.jsonl", "length", "A whole number of words", "not JSON"):
        assert word in answer.text
    assert added(db, world) == 0


def test_a_jsonl_file_alone_has_no_images(send: Send, world: World) -> None:
    samples = lines(row(1, images=["../../etc/hostname"]))
    answer = send(files={"file": ("s.jsonl", samples)})
    assert answer.status_code == 200
    assert "put both into one zip archive" in answer.text


def test_ids_are_made_from_the_name_of_the_file_not_of_its_path(
    send: Send, world: World, db: Session
) -> None:
    samples = lines({"instruction": "Write."})
    send(files={"file": ("C:\\data\\lectures.jsonl", samples)})
    assert db.scalar(select(Sample.source_id).order_by(Sample.id.desc())) == "lectures:1"


@pytest.mark.parametrize("files", [{}, {"file": ("", b"")}])
def test_a_file_is_needed(
    admin: TestClient, world: World, files: dict[str, tuple[str, bytes]]
) -> None:
    answer = admin.post(address(world), files={"other": ("x", b"x"), **files})
    assert answer.status_code == 422
    assert "Choose a file" in answer.text


def test_a_form_without_files_is_refused(admin: TestClient, world: World) -> None:
    assert admin.post(address(world), data={"policy": "x"}).status_code == 422


def test_what_is_typed_comes_back_with_the_errors(send: Send) -> None:
    answer = send(
        files={"file": ("s.jsonl", b"{")},
        data={"policy": "qwen@1", "instruction": "Tell <all>."},
    )
    assert 'value="qwen@1"' in answer.text
    assert "Tell &lt;all&gt;." in answer.text


@pytest.fixture
def one_mebibyte(app: FastAPI, settings: Settings) -> Iterator[None]:
    """The app takes no larger uploads."""
    app.state.settings = settings.model_copy(update={"max_upload_mb": 1})
    yield
    app.state.settings = settings


@pytest.mark.usefixtures("one_mebibyte")
def test_an_upload_beyond_the_limit_is_refused(admin: TestClient, world: World) -> None:
    answer = admin.post(address(world), files={"file": ("s.jsonl", b" " * 2**21)})
    assert answer.status_code == 422
    assert "more than 1 MiB" in answer.text


@pytest.mark.usefixtures("one_mebibyte")
def test_an_upload_that_hides_its_length_is_measured(admin: TestClient, world: World) -> None:
    body = admin.build_request("POST", address(world), files={"file": ("s.jsonl", b" " * 2**21)})
    answer = admin.post(
        address(world),
        content=iter([body.read()]),
        headers={"Content-Type": body.headers["content-type"]},
    )
    assert answer.status_code == 422
    assert "more than 1 MiB" in answer.text


@pytest.mark.parametrize("content", [b"{", lines(row(1))])
def test_nothing_stays_of_an_upload(send: Send, settings: Settings, content: bytes) -> None:
    # Other tests leave imports that nobody does.
    before = set(settings.uploads.rglob("*"))
    send(files={"file": ("s.jsonl", content)})
    assert set(settings.uploads.rglob("*")) - before <= {settings.uploads / "imports"}


@pytest.mark.parametrize("actor", ["owner", "other", "stranger", "trainer", "visitor", "expired"])
def test_only_admins_import(
    actor: str, request: pytest.FixtureRequest, world: World, db: Session
) -> None:
    client: TestClient = request.getfixturevalue(actor)
    answers = [
        client.get(address(world)),
        client.post(address(world), files={"file": ("s.jsonl", lines(row(1)))}),
    ]
    assert all(answer.status_code in (303, 401, 403) for answer in answers)
    assert added(db, world) == 0


def test_the_page_of_a_project_that_is_not_there_is_404(admin: TestClient) -> None:
    assert admin.get("/projects/999999/import").status_code == 404
    answer = admin.post("/projects/999999/import", files={"file": ("s.jsonl", b"")})
    assert answer.status_code == 404


@pytest.mark.parametrize("actor", ["owner", "visitor"])
def test_nothing_is_read_of_an_upload_by_who_may_not_import(
    actor: str, request: pytest.FixtureRequest, world: World, app: FastAPI
) -> None:
    client: TestClient = request.getfixturevalue(actor)
    sent = client.build_request("POST", address(world), files={"file": ("s.jsonl", b"x" * 10_000)})
    answer: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        answer.append(message)

    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": sent.url.path,
        "raw_path": sent.url.raw_path,
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in sent.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    assert client.portal is not None
    client.portal.call(app, scope, receive, send)
    assert answer[0]["status"] == (403 if actor == "owner" else 401)


def kept_name(page: str) -> str:
    found = re.search(r'name="kept" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def test_a_look_shows_the_samples_and_the_import_needs_no_second_upload(
    admin: TestClient, world: World, db: Session, work: Work
) -> None:
    samples = lines({"frage": "Was?", "question": "Write.", "answer": "One.\n\nTwo."})
    look = admin.post(
        address(world), files={"file": ("s.jsonl", samples)}, data={"step": "look", "policy": "q"}
    )
    assert look.status_code == 200
    assert "What s.jsonl holds" in look.text
    assert "Write." in look.text
    assert added(db, world) == 0
    name = kept_name(look.text)
    again = {"kept": name, "step": "look", "column-instruction": "frage"}
    assert "Was?" in admin.post(address(world), files={"x": b""}, data=again).text
    done = {"kept": name, "column-instruction": "frage", "column-output": "answer"}
    answer = admin.post(address(world), files={"x": b""}, data=done)
    work()
    assert "1 sample was added from s.jsonl" in admin.get(answer.headers["location"]).text
    assert db.scalar(select(Sample.instruction).order_by(Sample.id.desc())) == "Was?"
    gone = admin.post(address(world), files={"x": b""}, data=done)
    assert "The upload is no longer kept. Choose the file again." in gone.text


def test_a_look_shows_errors_and_offers_no_import(admin: TestClient, world: World) -> None:
    samples = lines({"question": "Write.", "L": "many"})
    look = admin.post(address(world), files={"file": ("s.jsonl", samples)}, data={"step": "look"})
    assert "A whole number of words, above 0, is needed." in look.text


@pytest.mark.parametrize("name", ["../../etc", "a" * 22, "."])
def test_an_upload_that_is_not_ones_own_is_not_found(
    admin: TestClient, world: World, name: str
) -> None:
    answer = admin.post(address(world), files={"x": b""}, data={"kept": name})
    assert answer.status_code == 422
    assert "no longer kept" in answer.text


def test_a_reload_shows_the_same_and_past_imports_are_listed(
    send: Send, admin: TestClient, world: World
) -> None:
    send(files={"file": ("first.jsonl", lines(row(1), row(2)))})
    last = send(files={"file": ("second.jsonl", b"{")})
    assert admin.get(str(last.url)).text == last.text
    assert "not JSON" in last.text
    assert "first.jsonl" in last.text
    listed = admin.get(address(world)).text
    assert listed.index("second.jsonl") < listed.index("first.jsonl")
    assert world.admin.display_name in listed
    assert "1 error" in listed


def test_a_page_without_script_asks_again_until_the_end(
    admin: TestClient, world: World, work: Work
) -> None:
    answer = admin.post(address(world), files={"file": ("s.jsonl", lines(row(1)))})
    page = answer.headers["location"]
    again = '<noscript><meta http-equiv="refresh" content="2"></noscript>'
    assert again in admin.get(page).text
    assert f'hx-get="{page}/state"' in admin.get(f"{page}/state").text
    work()
    assert again not in admin.get(page).text
    assert "hx-get" not in admin.get(f"{page}/state").text


def test_an_answer_that_is_an_error_of_an_api_is_told_of(send: Send) -> None:
    samples = lines(row(1), row(2, output="I'm sorry, but I can't assist with that request."))
    page = send(files={"file": ("s.jsonl", samples)}).text
    assert "Outputs that look like an error of an API, not like a text: 1." in page


def test_an_archived_project_takes_no_import(admin: TestClient, world: World) -> None:
    admin.post(f"/projects/{world.project.id}/archival")
    answer = admin.post(address(world), files={"file": ("s.jsonl", lines(row(1)))})
    assert answer.status_code == 409


def test_an_import_of_another_project_is_not_there(
    admin: TestClient, world: World, db: Session
) -> None:
    answer = admin.post(address(world), files={"file": ("s.jsonl", lines(row(1)))})
    other = add_project(db)
    db.commit()
    number = answer.headers["location"].rpartition("/")[2]
    assert admin.get(f"/projects/{other.id}/import/{number}").status_code == 404
    assert admin.get(f"/projects/{other.id}/import/{number}/state").status_code == 404
