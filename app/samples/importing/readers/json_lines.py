"""Reads JSON Lines: one object a line."""

import json
from typing import Any, NoReturn

from app.domain.messages import Message
from app.refusals import Invalid
from app.samples.importing.incoming import RowError, Where
from app.samples.importing.records import ImageFiles, Record, Records
from app.samples.importing.trees import FileTree

MAX_ROW = 64 * 2**20
_BOM = b"\xef\xbb\xbf"


def read_json_lines(tree: FileTree, name: str, *, images: ImageFiles, label: str) -> Records:
    """A record for each line that holds an object, an error for each that does not.

    label: what the file is called in errors and ids. A line that is not UTF-8 ends the reading:
    the encoding is a mistake of the whole file.
    """
    size = max(1, tree.size(name))
    read = 0
    for number, line in enumerate(tree.lines(name, MAX_ROW + 1), start=1):
        where = Where(label, number)
        read += len(line)
        if len(line) > MAX_ROW:
            yield RowError(where, None, too_long())
            return
        if number == 1:
            line = line.removeprefix(_BOM)
        if not line.strip():
            continue
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            yield RowError(where, None, not_utf_8(error.start))
            return
        try:
            yield Record(where, _object(text), images, min(1.0, read / size))
        except Invalid as error:
            yield RowError(where, None, error.message)


def too_long() -> Message:
    """A row is larger than any sample may be."""
    return Message("The row has more than %(most)s MiB.", most=MAX_ROW // 2**20)


def not_utf_8(start: int) -> Message:
    """The bytes from start, 0-based, are not UTF-8."""
    return Message(
        "The line is not UTF-8 text (byte %(place)s). Save the whole file as UTF-8; Latin-1 and "
        "Windows-1252 differ from it in every accented letter.",
        place=start + 1,
    )


def no_constant(name: str) -> NoReturn:
    """JSON has no NaN and no infinity, whatever Python's reader takes."""
    raise ValueError(f"{name} is not a JSON number")


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=no_constant)
    except RecursionError:
        raise Invalid("The line is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise Invalid(
            Message(
                "The line is not JSON at character %(place)s: %(reason)s.",
                place=error.pos + 1,
                reason=error.msg,
            )
        ) from None
    except ValueError as error:
        raise Invalid(Message("The line is not JSON: %(error)s.", error=error)) from None
    if isinstance(value, list):
        raise Invalid("The line is a list; JSON Lines has one object a line.")
    if not isinstance(value, dict):
        raise Invalid("The line is not a JSON object.")
    return value
