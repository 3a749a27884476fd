"""What kind of file it is: told by its content, and said once where no import reads it."""

import gzip
import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.images.store import ImageStore
from tests.support.factories import add_project
from tests.support.imports import Importer, archive, lines, picture, row


@pytest.fixture
def importer(db: Session, tmp_path: Path) -> Importer:
    return Importer(db, add_project(db), ImageStore(tmp_path / "store"))


def database(path: Path) -> bytes:
    """An SQLite file with a table."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE samples (instruction TEXT)")
    connection.commit()
    connection.close()
    return path.read_bytes()


WRONG = {
    "picture.jsonl": (picture(), "This is an image. "),
    "packed.jsonl.gz": (gzip.compress(lines(row())), "This file is compressed. Unpack it first"),
    "page.jsonl": (b"\n <!DOCTYPE html><html>", "This is a web page (HTML). It may be an error"),
    "wide.jsonl": (lines(row()).decode().encode("utf-16"), "This is UTF-16 text. Save it as UTF-8"),
    "wide-le.json": ('[{"a": 1}]'.encode("utf-16-le"), "This is UTF-16 text. Save it as UTF-8"),
    "pointer.parquet": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        "This is a Git LFS pointer, not the file itself.",
    ),
    "table.csv": (b"id,question,answer\n1,a,b\n2,c,d\n", "This looks like a table with commas"),
    "notes.txt": (b"Hello,\nthis is a letter.\n", "This is plain text. A JSON list or JSON Lines"),
    "model.pkl": (b"\x80\x04\x95\x0f", "This is a Python pickle, which is never opened"),
    "some.bin": (b"ab\0cd", "This is a binary file of a kind that is not known here."),
    "data.xml": (b"<?xml version='1.0'?><a/>", "This is XML."),
    "nothing.json": (b" \n", "The file is empty."),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_of_another_kind_says_so_once(importer: Importer, tmp_path: Path, name: str) -> None:
    content, sentence = WRONG[name]
    (tmp_path / name).write_bytes(content)
    [error] = importer.refused(tmp_path / name)
    assert error.startswith(f"{name}: {sentence}")


def test_a_database_says_what_it_is(importer: Importer, tmp_path: Path) -> None:
    database(tmp_path / "samples.db")
    [error] = importer.refused(tmp_path / "samples.db")
    assert error.startswith("samples.db: This is an SQLite database.")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("word/document.xml", "This is a Word document."),
        ("ppt/presentation.xml", "This is a PowerPoint file. Save it as PDF"),
        ("xl/workbook.xml", "This is an Excel workbook."),
    ],
)
def test_an_office_document_is_no_archive(
    importer: Importer, tmp_path: Path, entry: str, sentence: str
) -> None:
    path = archive(tmp_path / "file.docx", {"[Content_Types].xml": b"<a/>", entry: b"<a/>"})
    [error] = importer.refused(path)
    assert error.startswith(f"file.docx: {sentence}")


def test_latin_1_is_one_error(importer: Importer, tmp_path: Path) -> None:
    rows = [json.dumps(row(at, output="é"), ensure_ascii=False) for at in range(10_000)]
    (tmp_path / "latin.jsonl").write_bytes("\n".join(rows).encode("latin-1"))
    [error] = importer.refused(tmp_path / "latin.jsonl")
    assert error.startswith("latin.jsonl, line 1: The line is not UTF-8 text (byte ")


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_list_is_read_row_by_row(
    importer: Importer, tmp_path: Path, indent: int | None
) -> None:
    rows = [row(at, output="Grüße 你好 😀\n\n" * 3_000) for at in range(60)]
    text = json.dumps(rows, ensure_ascii=False, indent=indent)
    (tmp_path / "rows.json").write_text(text, encoding="utf-8")
    assert importer(tmp_path / "rows.json").added == 60
    path = importer.output("sample-59")
    assert "".join(segment.text for segment in path) == rows[59]["output"]


def test_objects_over_several_lines_are_read(importer: Importer, tmp_path: Path) -> None:
    text = json.dumps(row(1), indent=2) + "\n" + json.dumps(row(2), indent=2)
    (tmp_path / "rows.json").write_text("\ufeff" + text, encoding="utf-8")
    assert importer(tmp_path / "rows.json").added == 2


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[{"instruction": "a"},\n {"instruction": "b",}]', "line 2: This is not JSON: "),
        ('[{"instruction": "a"}', "line 1: The list is not closed: the file was cut off."),
        ('[{"instruction": "a"}\n{"instruction": "a"}]', "line 2: A comma or the end of the list"),
        ('[{"instruction": "a"}] x', "line 1: There is something behind the end of the list."),
        ('[{"instruction": "a"}, 7]', "row 2: The row is not a JSON object."),
        ('[{"instruction": NaN}]', "line 1: This is not JSON: NaN is not a JSON number."),
        ("[" * 100_000, "line 1: The row is nested too deeply."),
    ],
)
def test_a_broken_json_list_is_one_error(
    importer: Importer, tmp_path: Path, text: str, error: str
) -> None:
    (tmp_path / "rows.json").write_text(text)
    [found] = importer.refused(tmp_path / "rows.json")
    assert found.startswith(f"rows.json, {error}")


def test_rows_of_an_unknown_shape_are_one_error(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines({"frage": "Was?", "antwort": "Das."}) * 10_000)
    [error] = importer.refused(tmp_path / "rows.jsonl")
    assert error == (
        "rows.jsonl, line 1, instruction: This field is missing, and no other column says what was "
        "asked. The row has: frage, antwort. Name the column: --map instruction=COLUMN."
    )


def test_columns_of_other_names_are_mapped(importer: Importer, tmp_path: Path) -> None:
    rows = lines({"frage": "Was?", "antwort": "Das.", "n": 500, "quelle": "web"})
    (tmp_path / "rows.jsonl").write_bytes(rows)
    importer(
        tmp_path / "rows.jsonl",
        columns={"instruction": "frage", "output": "antwort", "length": "n"},
    )
    [sample] = importer.samples()
    assert (sample.instruction, sample.target_words) == ("Was?", 500)
    assert sample.extra == {"quelle": "web"}


def test_a_column_that_is_not_there_is_one_error(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines(row(1), row(2)))
    assert importer.refused(tmp_path / "rows.jsonl", columns={"length": "L"}) == [
        "rows.jsonl, line 1, length: There is no column L. The row has: id, instruction, images, "
        "output."
    ]
