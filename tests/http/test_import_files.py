"""Every kind of file goes in by the page's form and over REST, and the hostile ones by neither."""

import html
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import datasets
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.models import Sample
from tests.db.test_import_arrow import LECTURES, LONGWRITER_V, RULER, arrow_stream, image, parquet
from tests.db.test_import_kinds import WRONG
from tests.db.test_import_shapes import SHAPES
from tests.http.conftest import Script, Work, World
from tests.support.imports import DECK, lines, nested_forms, picture, row


def packed(files: dict[str, bytes]) -> bytes:
    """A zip archive with these entries."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def saved_to_disk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A data set as `datasets` itself saves it, in a zip archive."""
    folder = tmp_path_factory.mktemp("saved")
    rows = {"instruction": ["Write."] * 3, "output": ["One.", "Two.", "Three."]}
    datasets.Dataset.from_dict(rows).save_to_disk(folder, num_shards=2)
    return packed({path.name: path.read_bytes() for path in sorted(folder.iterdir())})


COURSE = {
    "arts/film/pngs/1.png": picture("red"),
    "arts/film/pngs/2.png": picture("blue"),
    "arts/film/scripts/1.txt": b"Welcome.",
    "arts/film/scripts/2.txt": b"Goodbye.",
}
RULERS = [{"id": 1, "question": "Write.", "L": 2000, "images": [image()]}]
FILES: dict[str, tuple[bytes, int]] = {
    "samples.jsonl": (lines(row(1), row(2)), 2),
    "samples.json": (json.dumps([row(1), row(2)]).encode(), 2),
    "train.parquet": (parquet(LONGWRITER_V, LECTURES), 5),
    "ruler.parquet": (parquet(RULER, RULERS), 1),
    "data.arrow": (arrow_stream(LONGWRITER_V, LECTURES), 5),
    "shards.zip": (packed({"a.parquet": parquet(LONGWRITER_V, LECTURES)}), 5),
    "courses.zip": (packed(COURSE), 1),
    "samples.zip": (packed({"s.jsonl": lines(row(images=["a.png"])), "a.png": picture()}), 1),
    "Packaging.pdf": (DECK.read_bytes(), 1),
    **{f"{shape}.jsonl": (lines(SHAPES[shape]), 1) for shape in SHAPES},
}
HOSTILE: dict[str, tuple[bytes, str]] = {
    **WRONG,
    "bad.jsonl": (b"{'bad'}\n" * 10_000, "The line is not JSON at character 2"),
    "cut.json": (b'[{"instruction": "a"}', "The list is not closed: the file was cut off."),
    "deep.json": (b"[" * 100_000, "The row is nested too deeply."),
    "cut.parquet": (parquet(LONGWRITER_V, LECTURES)[:-200], "The file is damaged or cut off"),
    "cut.zip": (packed(COURSE)[:-30], "The zip archive is damaged"),
    "out.zip": (packed({"../out.jsonl": lines(row())}), "leads out of what is imported"),
    "bomb.zip": (packed({"a.jsonl": b" " * 2**28}), "would unpack to"),
    "deck.docx": (packed({"word/document.xml": b"<a/>"}), "This is a Word document."),
    "none.zip": (packed({"readme.md": b"x"}), "It holds no data file"),
    "broken.pdf": (b"%PDF-1.7\nbroken", "PDF"),
    "forms.pdf": (nested_forms(), "It takes more than 1,024 MiB of memory to decode"),
    "false.zip": (
        packed({"s.jsonl": lines(row(images=["a.png"])), "a.png": b"<svg/>"}),
        "This is not an image that can be shown",
    ),
}


@dataclass
class Came:
    """What came of a file. said: all that a user is told. errors: how many there are."""

    said: str
    errors: int


Send = Callable[[str, bytes], Came]


@pytest.fixture(params=["form", "REST"])
def send(
    request: pytest.FixtureRequest, admin: TestClient, script: Script, world: World, work: Work
) -> Send:
    """One of the two ways to send a file; a worker imports it."""

    def by_form(name: str, content: bytes) -> Came:
        place = f"/projects/{world.project.id}/import"
        answer = admin.post(place, files={"file": (name, content)})
        assert answer.status_code == 303, answer.text
        work()
        page = admin.get(answer.headers["location"]).text
        section = page[page.index('id="import"') :]
        section = html.unescape(section[: section.index("</section>")])
        rows = re.search(r"<tbody>(.*?)</tbody>", section, re.DOTALL)
        return Came(section, rows[1].count("<tr>") if rows else 0)

    def by_rest(name: str, content: bytes) -> Came:
        place = f"/api/v1/projects/{world.project.name}/imports"
        client = script(world.admin, "imports:write")
        answer = client.post(place, params={"name": name}, content=content)
        assert answer.status_code == 202, answer.text
        work()
        found = client.get(answer.headers["location"]).json()
        told = [found["error"] or "", *(f"{e['field']}: {e['detail']}" for e in found["errors"])]
        return Came("\n".join(told), len(found["errors"]))

    return by_form if request.param == "form" else by_rest


def added(db: Session, world: World) -> int:
    """How many samples the project has beside the one it began with."""
    count = select(func.count()).where(Sample.project_id == world.project.id)
    return (db.scalar(count) or 0) - 1


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_every_kind_is_imported(send: Send, world: World, db: Session, name: str) -> None:
    content, samples = FILES[name]
    came = send(name, content)
    assert added(db, world) == samples, came.said
    assert came.errors == 0


def test_a_data_set_saved_to_disk_is_imported(
    send: Send, world: World, db: Session, tmp_path_factory: pytest.TempPathFactory
) -> None:
    came = send("saved.zip", saved_to_disk(tmp_path_factory))
    assert added(db, world) == 3, came.said


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_clear_message(
    send: Send, world: World, db: Session, name: str
) -> None:
    content, sentence = HOSTILE[name]
    came = send(name, content)
    assert sentence in came.said
    assert came.errors == 1
    assert added(db, world) == 0
