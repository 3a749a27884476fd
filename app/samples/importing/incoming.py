"""What a reader hands over: samples as a file says them, and errors that name their place."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.domain.conversation import NO_CONTEXT, Context
from app.domain.messages import Message
from app.domain.text import defect

MAX_IMAGES = 2_000
MAX_TEXT = 8_000_000
MAX_ID = 200
MAX_TITLE = 300
MAX_METADATA = 1_000_000


@dataclass(frozen=True, slots=True)
class Where:
    """A place in what is imported. line: of a text file; row: of a table or a list. Both count from
    1 and are None for a whole file."""

    file: str
    line: int | None = None
    row: int | None = None

    @property
    def number(self) -> int | None:
        """The line or the row."""
        return self.line or self.row

    @property
    def place(self) -> str:
        """The line or row in words; the file where there is neither."""
        if self.number is None:
            return self.file
        return f"{'row' if self.line is None else 'line'} {self.number}"

    def __str__(self) -> str:
        return self.file if self.number is None else f"{self.file}, {self.place}"


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong, and where. field: as the file calls it; None for the whole row or file."""

    where: Where
    field: str | None
    message: str

    @property
    def place(self) -> str:
        """File, line or row, and field, in words."""
        return f"{self.where}, {self.field}" if self.field else str(self.where)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class DeckPage:
    """A page of a PDF that is to be drawn. index: from 0."""

    deck: Path
    index: int


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image that a sample shows. key: equal for equal files of one import, so each is read once.
    read: its bytes, or the page that it is; raises Invalid with a sentence for the user. held: how
    many bytes of it are in memory until then."""

    key: str
    where: Where
    field: str | None
    read: Callable[[], bytes | DeckPage]
    held: int = 0


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
    progress: how much of the source is read with it, 0 to 1. context: what the model reads around
    the instruction.
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
    context: Context = NO_CONTEXT


Reading = Iterator[IncomingSample | RowError]


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
