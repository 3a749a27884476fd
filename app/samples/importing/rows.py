"""One line of JSON Lines as a sample: every field checked, every error with its name."""

import json
import re
from pathlib import PurePosixPath
from typing import Any, NoReturn

from app.domain.messages import Message
from app.samples.importing.incoming import (
    MAX_IMAGES,
    MAX_METADATA,
    MAX_TITLE,
    GivenPiece,
    ImageSource,
    IncomingSample,
    Where,
    id_error,
    text_error,
)
from app.samples.importing.trees import FileTree

PLACEHOLDER = "<image>"
# Placeholders at the start only, each with the blanks and the newline that set it off: in data
# for LLaMA-Factory they stand before the instruction, one a line or all in a row.
_LEADING = re.compile(rf"(?:{PLACEHOLDER}[ \t]*\n?)+")
MAX_TAG = 200
_OURS = {"id", "title", "instruction", "images", "output", "segments", "length", "metadata"}


class FieldError(Exception):
    """What is wrong with a line. field: as the file calls it; None for the line as a whole."""

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = Message.of(message)


def read_row(
    line: bytes, *, where: Where, name: str, images: FileTree | None, progress: float
) -> IncomingSample:
    """The sample of a line. name: of the file, which the images' paths are relative to; images:
    where they are looked up, None if they did not come along. Raises FieldError."""
    return _Row(where, _object(line), name, images).sample(progress)


class _Row:
    """One line, field by field."""

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
            raise FieldError("instruction", "An instruction is needed.")
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
            raise FieldError("id", "An id is a string or a whole number.")
        if message := id_error(str(value)):
            raise FieldError("id", message)
        return self._checked("id", str(value))

    def _title(self) -> str | None:
        value = self._row.get("title")
        if value is None or value == "":
            return None
        return self._checked("title", value, limit=MAX_TITLE)

    def _text(self, field: str) -> str:
        if field not in self._row:
            raise FieldError(field, "This field is missing.")
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
            raise FieldError(
                field, Message("A text is needed here, not %(kind)s.", kind=_kind(value))
            )
        if message := text_error(value, **limit):
            raise FieldError(field, message)
        return value

    def _messages(self, images: int) -> tuple[str, str]:
        messages = self._row["messages"]
        if "instruction" in self._row or "output" in self._row:
            raise FieldError("messages", "A line has messages or instruction and output, not both.")
        if not isinstance(messages, list) or len(messages) not in (1, 2):
            raise FieldError("messages", "A list of the user's message and the answer is needed.")
        texts = [
            self._message(position, message, role)
            for position, (message, role) in enumerate(
                zip(messages, ("user", "assistant"), strict=False)
            )
        ]
        placeholders = texts[0].count(PLACEHOLDER)
        if placeholders and placeholders != images:
            raise FieldError(
                "messages[0]",
                Message(
                    "The message has %(placeholders)s %(placeholder)s and the line "
                    "%(images)s images.",
                    placeholders=placeholders,
                    placeholder=PLACEHOLDER,
                    images=images,
                ),
            )
        leading = _LEADING.match(texts[0])
        instruction = texts[0][leading.end() :] if leading else texts[0]
        return instruction, texts[1] if len(texts) == 2 else ""

    def _message(self, position: int, message: object, role: str) -> str:
        field = f"messages[{position}]"
        if isinstance(message, dict):
            if message.get("role") != role:
                raise FieldError(
                    f"{field}.role", Message('The role "%(role)s" is needed here.', role=role)
                )
            field, message = f"{field}.content", message.get("content")
        return self._checked(field, message)

    def _images(self) -> tuple[ImageSource, ...]:
        value = self._row.get("images", [])
        if not isinstance(value, list):
            raise FieldError("images", "A list of paths is needed.")
        if len(value) > MAX_IMAGES:
            raise FieldError(
                "images", Message("A sample has at most %(most)s images.", most=MAX_IMAGES)
            )
        return tuple(self._image(position, path) for position, path in enumerate(value))

    def _image(self, position: int, path: object) -> ImageSource:
        field = f"images[{position}]"
        if not isinstance(path, str):
            raise FieldError(
                field, Message("A path is needed here, not %(kind)s.", kind=_kind(path))
            )
        tree = self._tree
        if tree is None:
            raise FieldError(
                field, "The images did not come with the file: put both into one zip archive."
            )
        if message := text_error(path, limit=4096):
            raise FieldError(field, message)
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
            raise FieldError("segments", "A list of texts is needed.")
        for position, part in enumerate(value):
            if self._checked(f"segments[{position}]", part) == "":
                raise FieldError(f"segments[{position}]", "A segment holds some text.")
        if "".join(value) != output:
            raise FieldError("segments", "The segments do not add up to the output.")
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
            raise FieldError("length", "A whole number of words, above 0, is needed.")
        return value

    def _metadata(self) -> dict[str, Any]:
        value = self._row.get("metadata") or {}
        if not isinstance(value, dict):
            raise FieldError("metadata", "A JSON object is needed.")
        self._check_tags()
        rest = {key: self._row[key] for key in self._row if key not in _OURS | {"messages"}}
        merged = {**rest, **value}
        try:
            # The keys and texts in it are stored as JSON, so they meet the rules of any text.
            written = json.dumps(merged, ensure_ascii=False, allow_nan=False)
        except ValueError:
            raise FieldError("metadata", "A number in it is too large.") from None
        if message := text_error(written.replace("\\u0000", "\0"), limit=MAX_METADATA):
            raise FieldError("metadata", message)
        return merged

    def _check_tags(self) -> None:
        """Tags are kept with the metadata, and pairs are filtered by them."""
        tags = self._row.get("tags") or []
        if not isinstance(tags, list) or not all(map(_is_tag, tags)):
            raise FieldError(
                "tags",
                Message("A list of texts of up to %(most)s characters is needed.", most=MAX_TAG),
            )


def _is_tag(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TAG and not text_error(value)


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise FieldError(
            None, Message("The line is not UTF-8 text (byte %(place)s).", place=error.start + 1)
        ) from None
    except RecursionError:
        raise FieldError(None, "The line is nested too deeply.") from None
    except json.JSONDecodeError as error:
        message = Message(
            "The line is not JSON at character %(place)s: %(reason)s.",
            place=error.pos + 1,
            reason=error.msg,
        )
        raise FieldError(None, message) from None
    except ValueError as error:
        raise FieldError(None, Message("The line is not JSON: %(error)s.", error=error)) from None
    if isinstance(value, list):
        raise FieldError(None, "The line is a list; JSON Lines has one object a line.")
    if not isinstance(value, dict):
        raise FieldError(None, "The line is not a JSON object.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _kind(value: object) -> Message:
    kinds = {
        type(None): Message("null"),
        bool: Message("true or false"),
        list: Message("a list"),
        dict: Message("an object"),
    }
    return kinds.get(type(value), Message("a number"))
