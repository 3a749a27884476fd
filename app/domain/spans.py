"""What each part of a segment's text is: the model's as it is, or what a person put there.

A text is a row of spans. Each names the segment in which its characters were first written, so a
copy, a half and a joined segment know where they come from. A change (a block of spans, the first
one and those tied to it) names the model's text that it stands for, however it is cut later.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import Any, NamedTuple, Self


class Slice(NamedTuple):
    """Code points [start, end) of a segment's text. segment: 0 is the one that has the span."""

    segment: int
    start: int
    end: int


class How(StrEnum):
    """What was done to the model's text."""

    KEPT = "kept"
    CHANGED = "changed"
    INSERTED = "inserted"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a segment's text.

    text: where it was first written; empty for a deletion, which stands before what follows it.
    of: the model's text that it stands for; where it was inserted, the text that it was put before.
    tied: it goes on the change of the span before it, in this segment or in the one before.
    """

    text: Slice
    how: How
    of: tuple[Slice, ...] = ()
    tied: bool = False

    @property
    def length(self) -> int:
        """In code points."""
        return self.text.end - self.text.start

    @property
    def base(self) -> tuple[Slice, ...]:
        """The model's text whose place it has taken; none for an insertion."""
        if self.how is How.KEPT:
            return (self.text,)
        return () if self.how is How.INSERTED else self.of

    @classmethod
    def deletion(cls, of: Iterable[Slice]) -> Self:
        """The model's text `of` was taken out here."""
        return cls(Slice(0, 0, 0), How.DELETED, tuple(of))


Spans = tuple[Span, ...]
# As the database keeps them; None: the model's text as it is.
Stored = list[list[Any]] | None


def read(stored: Stored, *, segment_id: int, length: int) -> Spans:
    """The spans of a segment, as the database keeps them."""
    if stored is None:
        return (Span(Slice(segment_id, 0, length), How.KEPT),)
    return tuple(
        Span(
            Slice(segment or (segment_id if end else 0), start, end),
            How(how),
            tuple(Slice(*one) for one in of),
            tied,
        )
        for how, segment, start, end, of, tied in stored
    )


def stored(spans: Iterable[Span]) -> list[list[Any]]:
    """The spans as the database keeps them."""
    return [[span.how.value, *span.text, [[*one] for one in span.of], span.tied] for span in spans]


def written_after(deleted: Stored, length: int) -> Stored:
    """The spans of a text that a model writes where something was deleted (None: nothing was)."""
    return [*deleted, *stored([Span(Slice(0, 0, length), How.KEPT)])] if deleted else None


def join(slices: Iterable[Slice]) -> tuple[Slice, ...]:
    """The slices, those that lie side by side in one segment as one; empty ones left out."""
    found: list[Slice] = []
    for one in slices:
        if found and found[-1].segment == one.segment and found[-1].end == one.start:
            found[-1] = Slice(one.segment, found[-1].start, one.end)
        elif one.start < one.end:
            found.append(one)
    return tuple(found)


def cut(spans: Spans, at: int) -> tuple[Spans, Spans]:
    """The spans of the text before and after code point `at`."""
    left: list[Span] = []
    for index, span in enumerate(spans):
        if at <= 0:
            return tuple(left), spans[index:]
        if span.length <= at:
            left.append(span)
            at -= span.length
            continue
        segment, start, end = span.text
        left.append(replace(span, text=Slice(segment, start, start + at)))
        rest = replace(span, text=Slice(segment, start + at, end))
        if span.how is not How.KEPT:
            rest = replace(rest, of=(), tied=True)
        return tuple(left), (rest, *spans[index + 1 :])
    return tuple(left), ()


def head(spans: Spans) -> tuple[Spans, Spans]:
    """The deletions in front of the text, and the rest."""
    count = next((n for n, span in enumerate(spans) if span.how is not How.DELETED), len(spans))
    return spans[:count], spans[count:]


def put_in_place(spans: Spans, length: int) -> Spans:
    """The spans of a text that a person writes in place of the one with these spans."""
    marks, rest = head(spans)
    base = _base(rest)
    tied = bool(rest) and rest[0].tied
    if base or tied:
        new = Span(Slice(0, 0, length), How.CHANGED, base, tied)
    else:
        pushed = next((span.of for span in rest if span.of), ())
        new = Span(Slice(0, 0, length), How.INSERTED, pushed)
    return (*marks, new)


def put_before(spans: Spans | None, length: int) -> tuple[Spans, Spans | None]:
    """The spans of a text that a person inserts in front of the one with these spans, and theirs.

    spans: None where nothing follows.
    """
    if spans is None:
        return (Span(Slice(0, 0, length), How.INSERTED),), None
    marks, rest = head(spans)
    if rest and rest[0].tied:
        return (*marks, Span(Slice(0, 0, length), How.CHANGED, (), True)), rest
    pushed = _base(rest) or next((span.of for span in rest if span.of), ())
    return (*marks, Span(Slice(0, 0, length), How.INSERTED, pushed)), rest


def take_out(spans: Spans, following: Spans | None) -> tuple[Spans, Spans | None]:
    """The deletions that a text leaves behind when it is taken out, and what follows it then.

    A change that goes on in what follows keeps the model's text that it stands for.
    """
    marks, rest = head(spans)
    blocks = list(_blocks(rest))
    handed: tuple[Span, ...] = ()
    if following and following[0].tied and blocks and blocks[-1][0].how is not How.KEPT:
        handed = tuple(blocks.pop())
    deleted = join(one for block in blocks for one in _base(block))
    if deleted:
        marks = (*marks, Span.deletion(deleted))
    if handed and following:
        first, next_one = handed[0], following[0]
        base = tuple(one for span in (*handed, next_one) for one in span.base)
        how = How.CHANGED if base else first.how
        taken = replace(next_one, how=how, of=base or first.of, tied=first.tied)
        following = (taken, *following[1:])
    return marks, following


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a path: the index of the segment (0: the first), and the code point in its text."""

    index: int
    offset: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change that stands in a text.

    of: the model's text that it stands for, or that it was put before. slices, text: what is
    preferred over that; of a deletion, the segment that follows. start, end: where that stands.
    """

    how: How
    of: tuple[Slice, ...]
    slices: tuple[Slice, ...]
    text: str
    start: Place
    end: Place

    @property
    def key(self) -> tuple[How, tuple[Slice, ...], tuple[Slice, ...]]:
        """Equal for the same change in whatever segments it stands."""
        return self.how, self.of, self.slices


def change_key(spans: Spans) -> tuple[How, tuple[Slice, ...], tuple[Slice, ...]]:
    """Of a text that is one change and nothing else, the key of that change."""
    _, rest = head(spans)
    base = _base(rest)
    of = base or join(one for span in rest[:1] for one in span.of)
    return How.CHANGED if base else How.INSERTED, of, join(span.text for span in rest)


def as_change(how: How, of: Iterable[Slice], slices: Sequence[Slice]) -> Spans:
    """The spans of a text that is one change and nothing else."""
    first = Span(slices[0], how, tuple(of))
    return (first, *(Span(one, How.CHANGED, (), True) for one in slices[1:]))


def overlap(some: Iterable[Slice], others: Sequence[Slice]) -> bool:
    """Whether any text is in both."""
    return any(
        one.segment == other.segment and one.start < other.end and other.start < one.end
        for one in some
        for other in others
    )


def changes(path: Sequence[tuple[str, Spans]]) -> list[Change]:
    """The changes in a text, in order. path: text and spans of its segments."""
    found: list[Change] = []
    open_block: list[tuple[Span, Place]] = []

    def close() -> None:
        if open_block:
            found.append(_change(path, open_block))
            open_block.clear()

    for index, (text, spans) in enumerate(path):
        offset = 0
        for span in spans:
            if not span.tied or not open_block:
                close()
            if span.how is How.DELETED:
                found.append(_deletion(path, span, Place(index, offset)))
            elif span.how is not How.KEPT:
                open_block.append((span, Place(index, offset)))
            offset += span.length
        if offset != len(text):
            raise ValueError(f"The spans of segment {index} are not of its text.")
    close()
    return [change for change in found if change.of and change.text]


def _change(path: Sequence[tuple[str, Spans]], block: Sequence[tuple[Span, Place]]) -> Change:
    spans = [span for span, _ in block]
    base = join(one for span in spans for one in span.base)
    last, at = block[-1]
    return Change(
        How.CHANGED if base else How.INSERTED,
        base or join(spans[0].of),
        join(span.text for span in spans),
        "".join(
            path[place.index][0][place.offset : place.offset + span.length] for span, place in block
        ),
        block[0][1],
        Place(at.index, at.offset + last.length),
    )


def _deletion(path: Sequence[tuple[str, Spans]], span: Span, at: Place) -> Change:
    text, spans = path[at.index]
    _, after = cut(spans, at.offset)
    return Change(
        How.DELETED,
        join(span.of),
        join(one.text for one in after),
        text[at.offset :],
        at,
        Place(at.index, len(text)),
    )


def _base(spans: Iterable[Span]) -> tuple[Slice, ...]:
    return join(one for span in spans for one in span.base)


def _blocks(spans: Spans) -> Iterator[list[Span]]:
    """The spans, each with those that are tied to it."""
    number = 0
    numbered = []
    for span in spans:
        number += not span.tied
        numbered.append((number, span))
    for _, group in groupby(numbered, key=lambda pair: pair[0]):
        yield [span for _, span in group]
