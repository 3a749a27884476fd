"""The folders of the LongWriter-V annotation app: a course is a sample, a slide a segment."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.images.store import ImageStore
from tests.domain.texts import TEXTS
from tests.support.factories import add_project
from tests.support.imports import Importer, archive, picture, texts, tree


@pytest.fixture
def importer(db: Session, tmp_path: Path) -> Importer:
    return Importer(db, add_project(db), ImageStore(tmp_path / "store"))


def course(name: str, *scripts: str | bytes) -> dict[str, bytes]:
    """A course whose slides differ in colour, with these scripts."""
    files = {
        f"{name}/pngs/{number}.png": picture(f"#{number:02x}8040")
        for number in range(1, len(scripts) + 1)
    }
    return files | {
        f"{name}/scripts/{number}.txt": script if isinstance(script, bytes) else script.encode()
        for number, script in enumerate(scripts, start=1)
    }


def test_a_course_is_a_sample_and_a_slide_a_segment(importer: Importer, tmp_path: Path) -> None:
    files = course("物理/Optics", *(f"Script {number}." for number in range(1, 12)))
    root = tree(tmp_path / "dpo", files | course("物理/Waves", "Waves."))
    report = importer(root, instruction="Write the lecture.")
    assert (report.added, report.segments) == (2, 12)
    optics, waves = importer.samples()
    assert (optics.source_id, optics.title) == ("物理/Optics", "Optics")
    assert (waves.source_id, waves.instruction) == ("物理/Waves", "Write the lecture.")
    segments = importer.output("物理/Optics")
    # Slide 10 comes after slide 9, not after slide 1.
    assert [segment.text.strip() for segment in segments] == [
        f"Script {number}." for number in range(1, 12)
    ]
    assert [segment.image_index for segment in segments] == list(range(11))


def test_scripts_are_kept_as_they_are_and_set_apart_where_no_newline_does(
    importer: Importer, tmp_path: Path
) -> None:
    root = tree(tmp_path / "dpo", course("m/c", "  One.", "Two.\n", "Three.\r\n", "\nFour.  "))
    importer(root)
    assert texts(importer.output("m/c")) == ["  One.\n\n", "Two.\n", "Three.\r\n", "\nFour.  "]


@pytest.mark.parametrize("name", TEXTS)
def test_a_script_is_kept_byte_for_byte(importer: Importer, tmp_path: Path, name: str) -> None:
    text = TEXTS[name].removeprefix("\ufeff")
    root = tree(tmp_path / "dpo", course("m/c", "First.", text))
    importer(root)
    assert texts(importer.output("m/c")) == ["First.\n\n", text]


def test_a_slide_with_an_empty_script_has_no_segment(importer: Importer, tmp_path: Path) -> None:
    root = tree(tmp_path / "dpo", course("m/c", "One.", "", "Three."))
    importer(root)
    assert [(s.text, s.image_index) for s in importer.output("m/c")] == [
        ("One.\n\n", 0), ("Three.", 2),
    ]  # fmt: skip


def test_a_course_without_scripts_waits_for_its_first_text(
    importer: Importer, tmp_path: Path
) -> None:
    files = {name: data for name, data in course("m/c", "a", "b").items() if "pngs" in name}
    assert importer(tree(tmp_path / "dpo", files)).added == 1
    assert importer.output("m/c") == []


def test_a_course_has_the_same_id_wherever_the_import_begins(
    importer: Importer, tmp_path: Path
) -> None:
    root = tree(tmp_path / "dpo", course("m/c", "One."))
    assert importer(root).added == 1
    assert importer(root / "m").unchanged == 1
    assert importer(root / "m" / "c").unchanged == 1
    packed = archive(tmp_path / "dpo.zip", course("m/c", "One."))
    assert importer(packed).unchanged == 1


def test_hidden_files_of_editors_and_systems_are_left_out(
    importer: Importer, tmp_path: Path
) -> None:
    rubbish = {
        "m/c/pngs/.DS_Store": b"x",
        "m/c/pngs/Thumbs.db": b"x",
        "__MACOSX/m/c/pngs/1.png": b"",
    }
    assert importer(tree(tmp_path / "dpo", course("m/c", "One.") | rubbish)).added == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"m/c/scripts/2.txt": None}, "m/c/pngs/2.png: The script of this slide is missing."),
        ({"m/c/pngs/2.png": None}, "m/c/scripts/2.txt: Slide 2 is missing."),
        ({"m/c/pngs/one.png": b"x"}, "m/c/pngs/one.png: A file N.png is needed here."),
        ({"m/c/scripts/1.md": b"x"}, "m/c/scripts/1.md: A file N.txt is needed here."),
        ({"m/c/pngs/02.png": b"x"}, "m/c/pngs/2.png: The number 2 is there twice: 02.png, 2.png."),
        ({"m/c/scripts/1.txt": "é".encode("latin1")}, "m/c/scripts/1.txt: The file is not UTF-8"),
        ({"m/c/scripts/1.txt": b"a\0"}, "m/c/scripts/1.txt: The text contains a NUL character"),
        ({"m/c/pngs/1.png": b"x"}, "m/c/pngs/1.png: This is not an image"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_course_is_named(
    importer: Importer, tmp_path: Path, change: dict[str, bytes | None], error: str
) -> None:
    files = course("m/c", "One.", "Two.") | change
    root = tree(tmp_path / "dpo", {name: data for name, data in files.items() if data is not None})
    [found] = importer.refused(root)
    assert found.startswith(error)


def test_a_folder_with_nothing_to_import_is_refused(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    [error] = importer.refused(tmp_path / "empty")
    assert error == (
        "empty: It holds no data file (.jsonl, .json, .parquet, .arrow) and no MAJOR/COURSE/pngs "
        "with slides."
    )


def test_a_slide_that_is_a_link_out_of_the_folder_is_refused(
    importer: Importer, tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(picture())
    root = tree(tmp_path / "dpo", course("m/c", "One."))
    (root / "m/c/pngs/1.png").unlink()
    (root / "m/c/pngs/1.png").symlink_to(tmp_path / "secret.png")
    [error] = importer.refused(root)
    assert "leads out of the folder" in error
