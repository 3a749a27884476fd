"""What a reader hands over: samples as a file says them, and errors that name their place."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.messages import Message
from app.domain.text import defect
from app.refusals import Invalid

MAX_ERRORS = 50
MAX_IMAGES = 2_000
MAX_TEXT = 8_000_000
MAX_ID = 200
MAX_TITLE = 300
MAX_METADATA = 1_000_000


@dataclass(frozen=True, slots=True)
class Where:
    """A place in what is imported. line: from 1, None for a whole file."""

    file: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong, and where. field: as the file calls it; None for the whole row or file."""

    where: Where
    field: str | None
    message: str

    def __str__(self) -> str:
        line = None if self.where.line is None else f"line {self.where.line}"
        place = ", ".join(part for part in (self.where.file, line, self.field) if part)
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image that a sample shows. key: equal for equal files of one import, so each is read once.
    read: its bytes; raises Invalid with a sentence for the user."""

    key: str
    where: Where
    field: str | None
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class GivenPiece:
    """A segment whose bounds the file itself gives."""

    text: str
    image_index: int | None


@dataclass(frozen=True, slots=True)
class IncomingSample:
    """A sample as its file says it, nothing checked that needs the database or the images.

    title: None when the file gives none. output: "" for a sample that a model has yet to write.
    pieces: the segments if the file gives them; their texts concatenate to output. fingerprint:
    stands for the images where they are made by us and may come out differently another day.
    progress: how much of the source is read with it, 0 to 1.
    """

    where: Where
    source_id: str
    title: str | None
    instruction: str
    images: tuple[ImageSource, ...]
    output: str
    pieces: tuple[GivenPiece, ...] | None = None
    target_words: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None
    progress: float = 1.0


Reading = Iterator[IncomingSample | RowError]


class ImportRefused(Invalid):
    """An import that wrote nothing. errors: at most MAX_ERRORS, in the order of the file; more:
    there may be others, the check stopped there."""

    def __init__(self, errors: list[RowError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: error.where.line or 0))[:MAX_ERRORS]
        self.more = len(errors) >= MAX_ERRORS
        lines = [f"Nothing was imported: {_count(len(self.errors))}.", *map(str, self.errors)]
        if self.more:
            lines.append(f"The check stopped after {MAX_ERRORS} errors.")
        super().__init__("\n".join(lines))


def text_error(text: str, *, limit: int = MAX_TEXT) -> str | None:
    """Why a text cannot be kept, as a sentence; None if it can."""
    if len(text) > limit:
        return Message(
            "It has %(count)s characters; at most %(limit)s are allowed.",
            count=f"{len(text):,}",
            limit=f"{limit:,}",
        )
    return defect(text)


def id_error(source_id: str) -> str | None:
    """Why an id cannot be kept, as a sentence; None if it can."""
    if not source_id.strip():
        return Message("An id is needed.")
    if len(source_id) > MAX_ID:
        return Message("An id has at most %(most)s characters.", most=MAX_ID)
    if not source_id.isprintable():
        return Message("An id holds no control characters or line breaks.")
    return None


def _count(errors: int) -> str:
    return "1 error" if errors == 1 else f"{errors} errors"
