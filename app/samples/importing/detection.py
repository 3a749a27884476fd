"""Detects the kind of a file by its first bytes, never by its name alone."""

import zipfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from app.domain.messages import Message

START = 64 * 1024
_BLANKS = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


class FileKind(StrEnum):
    """The kinds of files that an import reads."""

    JSON_LINES = "json lines"
    JSON = "json"
    PARQUET = "parquet"
    ARROW_STREAM = "arrow stream"
    ARROW_FILE = "arrow file"
    ZIP = "zip"
    PDF = "pdf"


def detect(start: bytes, name: str) -> FileKind | Message:
    """The kind of a file, or what it looks like and what to do where no import reads it.

    start: its first START bytes, or all of it. name: decides only between JSON and JSON Lines, and
    goes into the sentence.
    """
    if not start.strip(_BLANKS):
        return Message("The file is empty.")
    for magic, kind in _READ.items():
        if start.startswith(magic):
            return kind
    if b"%PDF-" in start[:1024]:
        return FileKind.PDF
    for looks_like, sentence in _OTHERS:
        if looks_like(start):
            return Message(sentence.msgid, name=name)
    text = start.removeprefix(_BOM).lstrip(_BLANKS)
    if b"\0" in start:
        return _BINARY
    if text[:1] == b"[":
        # A list on the first line of JSON Lines is a mistake that the reader of lines names.
        return FileKind.JSON_LINES if name.lower().endswith(_LINES_ENDINGS) else FileKind.JSON
    if text[:1] == b"{":
        return _objects(text, name)
    if name.lower().endswith(_LINES_ENDINGS):
        return FileKind.JSON_LINES
    return _plain(text)


def office_document(path: Path) -> Message | None:
    """What a zip file is where it is the file of an office program; None where it is an archive.

    Damaged archives are None: the reader says what is wrong with them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            kind = archive.read("mimetype")[:100] if "mimetype" in names else b""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return None
    for mark, sentence in _OFFICE.items():
        if mark in names:
            return sentence
    if kind.startswith((b"application/vnd.oasis", b"application/epub")):
        return _OPEN_DOCUMENT
    return None


_LINES_ENDINGS = (".jsonl", ".ndjson")
_READ = {
    b"PAR1": FileKind.PARQUET,
    b"ARROW1": FileKind.ARROW_FILE,
    b"\xff\xff\xff\xff": FileKind.ARROW_STREAM,
    b"PK\x03\x04": FileKind.ZIP,
    b"PK\x05\x06": FileKind.ZIP,
}


def _magic(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda start: start.startswith(magics)


def _image(start: bytes) -> bool:
    if start.startswith(b"BM"):
        return b"\0" in start[:64]
    return start.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*"))


def _tar(start: bytes) -> bool:
    return start[257:262] == b"ustar"


def _utf_16(start: bytes) -> bool:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    # Without a mark: every second byte of ASCII in UTF-16 is a NUL.
    sample = start[:200]
    return len(sample) >= 8 and any(
        set(sample[at::2]) == {0} and 0 not in sample[1 - at :: 2] for at in (0, 1)
    )


def _html(start: bytes) -> bool:
    return start.lstrip(_BOM + _BLANKS)[:200].lower().startswith((b"<!doctype html", b"<html"))


def _xml(start: bytes) -> bool:
    return start.lstrip(_BOM + _BLANKS).startswith(b"<?xml")


_OTHERS: tuple[tuple[Callable[[bytes], bool], Message], ...] = (
    (
        _image,
        Message(
            "This is an image. Images come with the file that names them: put both into one zip "
            "archive or one folder."
        ),
    ),
    (
        _magic(b"SQLite format 3\0"),
        Message(
            "This is an SQLite database. Export its table as JSON Lines: one JSON object a line."
        ),
    ),
    (
        _magic(b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!"),
        Message("This file is compressed. Unpack it first, then import what was in it."),
    ),
    (
        _tar,
        Message(
            "This is a tar archive. Unpack it and import the folder, or pack it as a zip archive."
        ),
    ),
    (
        _magic(b"version https://git-lfs"),
        Message(
            "This is a Git LFS pointer, not the file itself. Fetch the file (git lfs pull), then "
            "import it."
        ),
    ),
    (
        _utf_16,
        Message("This is UTF-16 text. Save it as UTF-8 first: iconv -f utf-16 -t utf-8 %(name)s."),
    ),
    (
        _html,
        Message(
            "This is a web page (HTML). It may be an error or log-in page that was saved in place "
            "of the file; download the file again."
        ),
    ),
    (_xml, Message("This is XML. Export the data as JSON Lines: one JSON object a line.")),
    (
        _magic(b"\xd0\xcf\x11\xe0"),
        Message(
            "This is a file of an old office program. Save a deck as PDF, a table as JSON Lines."
        ),
    ),
    (
        _magic(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
        Message(
            "This is a Python pickle, which is never opened: it may run any code. Save the data as "
            "JSON Lines or Parquet."
        ),
    ),
    (_magic(b"\x89HDF"), Message("This is an HDF5 file. Save the data as JSON Lines or Parquet.")),
)
_OFFICE = {
    "word/document.xml": Message(
        "This is a Word document. Save a deck as PDF, or the texts as JSON Lines."
    ),
    "ppt/presentation.xml": Message("This is a PowerPoint file. Save it as PDF, then import that."),
    "xl/workbook.xml": Message(
        "This is an Excel workbook. Export the table as JSON Lines: one JSON object a line."
    ),
}
_OPEN_DOCUMENT = Message(
    "This is a document of an office program or a book. Save a deck as PDF, the texts as JSON "
    "Lines."
)
_BINARY = Message(
    "This is a binary file of a kind that is not known here. JSON Lines, JSON, Parquet, Arrow, "
    "zip archives and PDF decks can be imported."
)
_CSV = Message(
    "This looks like a table with commas or tabs (CSV). Save it as JSON Lines, one JSON object a "
    "line: long texts with line breaks are not safe in CSV."
)
_TEXT = Message("This is plain text. A JSON list or JSON Lines, one JSON object a line, is needed.")


def _objects(text: bytes, name: str) -> FileKind:
    """JSON Lines, or one JSON object after another over several lines."""
    first, newline, _ = text.partition(b"\n")
    if name.lower().endswith(_LINES_ENDINGS) or not newline:
        return FileKind.JSON_LINES
    return FileKind.JSON_LINES if first.rstrip().endswith(b"}") else FileKind.JSON


def _plain(text: bytes) -> Message:
    lines = [line for line in text.split(b"\n")[:3] if line.strip()]
    for mark in (b",", b"\t", b";"):
        counts = {line.count(mark) for line in lines}
        if len(lines) > 1 and 0 not in counts and len(counts) == 1:
            return _CSV
    return _TEXT
