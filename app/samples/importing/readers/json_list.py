"""Reads a JSON list of objects, or objects one after another, without holding the whole file."""

import codecs
import json
from collections.abc import Iterator
from typing import Any

from app.domain.messages import Message
from app.samples.importing.incoming import RowError, Where
from app.samples.importing.readers.json_lines import MAX_ROW, no_constant, not_utf_8, too_long
from app.samples.importing.records import ImageFiles, Record, Records
from app.samples.importing.trees import FileTree

_CHUNK = 2**20
# An error so near to the end of what is read may be the end itself: a literal or an escape cut off.
_CUT = 12


def read_json_list(tree: FileTree, name: str, *, images: ImageFiles, label: str) -> Records:
    """A record for each object. What is not JSON ends the reading with the one error, by its line:
    nobody knows where the next object begins."""
    text = _Text(tree.lines(name, _CHUNK), max(1, tree.size(name)))
    try:
        for number, value in enumerate(_values(text), start=1):
            where = Where(label, row=number)
            if isinstance(value, dict):
                yield Record(where, value, images, text.progress)
            else:
                yield RowError(where, None, "The row is not a JSON object.")
    except _NotJsonError as error:
        yield RowError(Where(label, text.line(error.at)), None, error.message)


class _NotJsonError(Exception):
    """at: place in the text that is held."""

    def __init__(self, message: Message, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


def _values(text: "_Text") -> Iterator[Any]:
    """The values of a list, or those that follow each other with blanks between."""
    if text.next() != "[":
        while text.next():
            yield text.value()
        return
    text.skip()
    if text.next() == "]":
        return
    while True:
        yield text.value()
        match text.next():
            case ",":
                text.skip()
                continue
            case "]":
                text.skip()
            case "":
                raise _NotJsonError(
                    Message("The list is not closed: the file was cut off."), text.at
                )
            case _:
                raise _NotJsonError(
                    Message("A comma or the end of the list is needed here."), text.at
                )
        if text.next():
            raise _NotJsonError(Message("There is something behind the end of the list."), text.at)
        return


class _Text:
    """What is read of the file and not used yet; at: how far it is used."""

    def __init__(self, chunks: Iterator[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder(parse_constant=no_constant)
        self._held = ""
        self._lines = 0
        self._read = 0
        self._ended = False
        self.at = 0

    @property
    def progress(self) -> float:
        """How much of the file is read, 0 to 1."""
        return min(1.0, self._read / self._size)

    def line(self, at: int) -> int:
        """The line of a place in the held text, from 1."""
        return self._lines + self._held.count("\n", 0, at) + 1

    def next(self) -> str:
        """The next character that is not blank, "" at the end."""
        while True:
            while self.at < len(self._held):
                character = self._held[self.at]
                if character not in " \t\r\n":
                    return character
                self.at += 1
            if not self._more():
                return ""

    def skip(self) -> None:
        """Use the character that next has shown."""
        self.at += 1

    def value(self) -> Any:
        """The JSON value that begins here or behind blanks. Raises _NotJsonError."""
        self.next()
        while True:
            try:
                value, end = self._json.raw_decode(self._held, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos + _CUT > len(self._held)
                if cut and self._more():
                    continue
                raise _NotJsonError(
                    Message("This is not JSON: %(reason)s.", reason=error.msg), error.pos
                ) from None
            except RecursionError:
                raise _NotJsonError(Message("The row is nested too deeply."), self.at) from None
            except ValueError as error:
                raise _NotJsonError(
                    Message("This is not JSON: %(reason)s.", reason=error), self.at
                ) from None
            # A number may go on in what is not read yet.
            if end == len(self._held) and self._more():
                continue
            self.at = end
            return value

    def _more(self) -> bool:
        """Read as much again as is held; False at the end of the file."""
        if self._ended:
            return False
        self._lines += self._held.count("\n", 0, self.at)
        rest = self._held[self.at :]
        self._held, self.at = rest, 0
        if len(rest) > MAX_ROW:
            raise _NotJsonError(too_long(), 0)
        pieces = [rest]
        wanted = max(_CHUNK, len(rest))
        while wanted > 0:
            chunk = next(self._chunks, b"")
            try:
                piece = self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise _NotJsonError(not_utf_8(self._read + error.start), 0) from None
            self._read += len(chunk)
            pieces.append(piece)
            wanted -= len(piece)
            if not chunk:
                self._ended = True
                break
        self._held = "".join(pieces)
        return len(self._held) > len(rest)
