"""Reads JSON Lines: one sample a line, as our own fields or as messages of a chat."""

import json
import re
from pathlib import PurePosixPath
from typing import Any, NoReturn

from app.refusals import Invalid
from app.samples.importing.incoming import (
    MAX_IMAGES,
    MAX_METADATA,
    MAX_TITLE,
    GivenPiece,
    ImageSource,
    IncomingSample,
    Reading,
    RowError,
    Where,
    id_error,
    text_error,
)
from app.samples.importing.trees import FileTree

MAX_LINE = 64 * 2**20
PLACEHOLDER = "<image>"
# Placeholders at the start only, each with the blanks and the newline that set it off: in data
# for LLaMA-Factory they stand before the instruction, one a line or all in a row.
_LEADING = re.compile(rf"(?:{PLACEHOLDER}[ \t]*\n?)+")
_OURS = {"id", "title", "instruction", "images", "output", "segments", "length", "metadata"}
_BOM = b"\xef\xbb\xbf"


def read_jsonl(
    tree: FileTree, name: str, *, images: FileTree | None, label: str | None = None
) -> Reading:
    """The samples of a JSON Lines file, or an error for each line that holds none.

    A line is {"id", "instruction", "images", "output"?, "segments"?, "length"?, "title"?,
    "metadata"?} or {"messages": [user, assistant], "images", "id"?, …}; other fields become
    metadata. images: where their paths are looked up, relative to the file; None if only the file
    itself is here. label: what the file is called where that is not its name. An id that is missing
    becomes <file>:<line>.
    """
    size = max(1, tree.size(name))
    read = 0
    label = label or PurePosixPath(name).name
    for number, line in enumerate(tree.lines(name, MAX_LINE + 1), start=1):
        where = Where(label, number)
        read += len(line)
        if len(line) > MAX_LINE:
            yield RowError(where, None, f"The line has more than {MAX_LINE // 2**20} MiB.")
            return
        if number == 1:
            line = line.removeprefix(_BOM)
        if not line.strip():
            continue
        try:
            yield _Row(where, _object(line), name, images).sample(min(1.0, read / size))
        except _FieldError as error:
            yield RowError(where, error.field, error.message)


class _FieldError(Exception):
    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _FieldError(None, f"The line is not UTF-8 text (byte {error.start + 1}).") from None
    except RecursionError:
        raise _FieldError(None, "The line is nested too deeply.") from None
    except json.JSONDecodeError as error:
        message = f"The line is not JSON at character {error.pos + 1}: {error.msg}."
        raise _FieldError(None, message) from None
    except ValueError as error:
        raise _FieldError(None, f"The line is not JSON: {error}.") from None
    if isinstance(value, list):
        raise _FieldError(None, "The line is a list; JSON Lines has one object a line.")
    if not isinstance(value, dict):
        raise _FieldError(None, "The line is not a JSON object.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


class _Row:
    """One line, field by field; each method raises _FieldError for its field."""

    def __init__(
        self, where: Where, row: dict[str, Any], name: str, images: FileTree | None
    ) -> None:
        self._where = where
        self._row = row
        self._name = PurePosixPath(name)
        self._tree = images

    def sample(self, progress: float) -> IncomingSample:
        images = self._images()
        if "messages" in self._row:
            instruction, output = self._messages(len(images))
        else:
            instruction, output = self._text("instruction"), self._output()
        if not instruction.strip():
            raise _FieldError("instruction", "An instruction is needed.")
        return IncomingSample(
            where=self._where,
            source_id=self._id(),
            title=self._title(),
            instruction=instruction,
            images=images,
            output=output,
            pieces=self._pieces(output, len(images)),
            target_words=self._length(),
            metadata=self._metadata(),
            progress=progress,
        )

    def _id(self) -> str:
        value = self._row.get("id")
        if value is None:
            return f"{PurePosixPath(self._where.file).stem}:{self._where.line}"
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise _FieldError("id", "An id is a string or a whole number.")
        if message := id_error(str(value)):
            raise _FieldError("id", message)
        return self._checked("id", str(value))

    def _title(self) -> str | None:
        value = self._row.get("title")
        if value is None or value == "":
            return None
        return self._checked("title", value, limit=MAX_TITLE)

    def _text(self, field: str) -> str:
        if field not in self._row:
            raise _FieldError(field, "This field is missing.")
        return self._checked(field, self._row[field])

    def _output(self) -> str:
        value = self._row.get("output")
        if value is None:
            segments = self._row.get("segments")
            if not isinstance(segments, list):
                return ""
            value = "".join(part for part in segments if isinstance(part, str))
        return self._checked("output", value)

    def _checked(self, field: str, value: object, **limit: int) -> str:
        if not isinstance(value, str):
            raise _FieldError(field, f"A text is needed here, not {_kind(value)}.")
        if message := text_error(value, **limit):
            raise _FieldError(field, message)
        return value

    def _messages(self, images: int) -> tuple[str, str]:
        messages = self._row["messages"]
        if "instruction" in self._row or "output" in self._row:
            raise _FieldError(
                "messages", "A line has messages or instruction and output, not both."
            )
        if not isinstance(messages, list) or len(messages) not in (1, 2):
            raise _FieldError("messages", "A list of the user's message and the answer is needed.")
        texts = [
            self._message(position, message, role)
            for position, (message, role) in enumerate(
                zip(messages, ("user", "assistant"), strict=False)
            )
        ]
        placeholders = texts[0].count(PLACEHOLDER)
        if placeholders and placeholders != images:
            raise _FieldError(
                "messages[0]",
                f"The message has {placeholders} {PLACEHOLDER} and the line {images} images.",
            )
        leading = _LEADING.match(texts[0])
        instruction = texts[0][leading.end() :] if leading else texts[0]
        return instruction, texts[1] if len(texts) == 2 else ""

    def _message(self, position: int, message: object, role: str) -> str:
        field = f"messages[{position}]"
        if isinstance(message, dict):
            if message.get("role") != role:
                raise _FieldError(f"{field}.role", f'The role "{role}" is needed here.')
            field, message = f"{field}.content", message.get("content")
        return self._checked(field, message)

    def _images(self) -> tuple[ImageSource, ...]:
        value = self._row.get("images", [])
        if not isinstance(value, list):
            raise _FieldError("images", "A list of paths is needed.")
        if len(value) > MAX_IMAGES:
            raise _FieldError("images", f"A sample has at most {MAX_IMAGES} images.")
        return tuple(self._image(position, path) for position, path in enumerate(value))

    def _image(self, position: int, path: object) -> ImageSource:
        field = f"images[{position}]"
        if not isinstance(path, str):
            raise _FieldError(field, f"A path is needed here, not {_kind(path)}.")
        tree = self._tree
        if tree is None:
            raise _FieldError(
                field, "The images did not come with the file: put both into one zip archive."
            )
        if message := text_error(path, limit=4096):
            raise _FieldError(field, message)
        name = path
        # Joining would let an absolute path or an address pass for a relative one.
        if not path.startswith("/") and "://" not in path and str(self._name.parent) != ".":
            name = f"{self._name.parent}/{path}"
        return ImageSource(name, self._where, field, lambda: tree.read(name))

    def _pieces(self, output: str, images: int) -> tuple[GivenPiece, ...] | None:
        value = self._row.get("segments")
        if value is None:
            return None
        if not isinstance(value, list):
            raise _FieldError("segments", "A list of texts is needed.")
        for position, part in enumerate(value):
            if self._checked(f"segments[{position}]", part) == "":
                raise _FieldError(f"segments[{position}]", "A segment holds some text.")
        if "".join(value) != output:
            raise _FieldError("segments", "The segments do not add up to the output.")
        # As many segments as images means one segment an image: so the course folders have it.
        linked = images > 1 and len(value) == images
        return tuple(
            GivenPiece(part, position if linked else None) for position, part in enumerate(value)
        )

    def _length(self) -> int | None:
        value = self._row.get("length")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10_000_000:
            raise _FieldError("length", "A whole number of words, above 0, is needed.")
        return value

    def _metadata(self) -> dict[str, Any]:
        value = self._row.get("metadata") or {}
        if not isinstance(value, dict):
            raise _FieldError("metadata", "A JSON object is needed.")
        rest = {key: self._row[key] for key in self._row if key not in _OURS | {"messages"}}
        merged = {**rest, **value}
        try:
            # The keys and texts in it are stored as JSON, so they meet the rules of any text.
            written = json.dumps(merged, ensure_ascii=False, allow_nan=False)
        except ValueError:
            raise _FieldError("metadata", "A number in it is too large.") from None
        if message := text_error(written.replace("\\u0000", "\0"), limit=MAX_METADATA):
            raise _FieldError("metadata", message)
        return merged


def jsonl_name(tree: FileTree) -> str | None:
    """The one JSON Lines file of a tree; None if there is none, Invalid if there are several."""
    found = [name for name in tree.names() if name.lower().endswith((".jsonl", ".ndjson"))]
    if len(found) > 1:
        raise Invalid(f"One JSON Lines file is needed, and here are {len(found)}: {found[0]}, …")
    return found[0] if found else None


def _kind(value: object) -> str:
    kinds = {type(None): "null", bool: "true or false", list: "a list", dict: "an object"}
    return kinds.get(type(value), "a number")
