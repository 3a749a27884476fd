"""A draft's path through the segment tree, read in one query and forked by inserting rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import orjson
from sqlalchemy import ARRAY, BigInteger, Select, bindparam, func, insert, select, text
from sqlalchemy.orm import Session

from app.domain.certainty import from_rows, shifted, to_rows, within
from app.domain.messages import Message
from app.domain.spans import Slice, Spans, Stored, join, read, stored
from app.domain.tree import Origin
from app.models import Policy, Segment, table_of
from app.refusals import Outdated


@dataclass(frozen=True, slots=True)
class PathSegment:
    """A segment on a path. depth: 0 for the root, whose text is empty."""

    id: int
    parent_id: int | None
    depth: int
    text: str
    origin: Origin
    ends_output: bool
    image_index: int | None
    copied_from: int | None
    policy_id: int | None
    author_id: int | None
    regeneration_id: int | None
    certainty: float | None = None
    weak_words: list[list[float]] | None = None
    candidate: int | None = None
    stored_spans: Stored = None
    # What the policy of the text was run by ("replay", "openai" …); None where it is not known.
    engine: str | None = None

    @property
    def spans(self) -> Spans:
        """The parts of the text: what each is, and where it was first written."""
        return read(self.stored_spans, segment_id=self.id, length=len(self.text))

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Where the text was first written."""
        return join(span.text for span in self.spans)

    @property
    def separator(self) -> str:
        """The newlines that end the segment; they stay when its text is corrected."""
        return self.text[len(self.text.rstrip("\r\n")) :]


GONE = Message(
    "This segment is no longer part of the text. Reload the page to see the current text."
)

# The fields of PathSegment that are columns of segments; the last one, the engine, is its policy's.
_FIELDS = tuple(field.name for field in fields(PathSegment))[:-1]
_COLUMNS = (*_FIELDS[:-1], "spans")


def _walk() -> Select[Any]:
    segment, parent, policy = _SEGMENTS, _SEGMENTS.alias(), table_of(Policy)
    walk = (
        select(*(segment.c[name] for name in _COLUMNS))
        .where(segment.c.id == bindparam("leaf"))
        .cte("walk", recursive=True)
    )
    walk = walk.union_all(
        select(*(parent.c[name] for name in _COLUMNS)).join(walk, parent.c.id == walk.c.parent_id)
    )
    return (
        select(*walk.c, policy.c.engine)
        .outerjoin(policy, policy.c.id == walk.c.policy_id)
        .order_by(walk.c.depth)
    )


# Statements are built once, of tables: to put one together costs SQLAlchemy more than to run it,
# and the ORM adds overhead without benefit when rows are not mapped to objects.
_SEGMENTS = table_of(Segment)
_WALK = _walk()
_SOME = (
    select(*(_SEGMENTS.c[name] for name in _COLUMNS), table_of(Policy).c.engine)
    .outerjoin(table_of(Policy), table_of(Policy).c.id == _SEGMENTS.c.policy_id)
    .where(_SEGMENTS.c.id == func.any(bindparam("ids", type_=ARRAY(BigInteger))))
)
_ADD = insert(_SEGMENTS).returning(_SEGMENTS.c.id)
# Inserts all copies in one round trip. Each is the parent of the next, so the ids are drawn first.
# Origin, image, policy, author and regeneration come from the source.
_COPY = text(
    """
    WITH given AS (
        SELECT nextval('segments_id_seq') AS id, copy.*
        FROM unnest(
            CAST(:sources AS bigint[]), CAST(:own AS boolean[]), CAST(:texts AS text[]),
            CAST(:ends AS boolean[]), CAST(:spans AS jsonb[]),
            CAST(:certainty AS double precision[]), CAST(:weak_words AS jsonb[])
        ) WITH ORDINALITY
            AS copy (source, own, text, ends_output, spans, certainty, weak_words, place)
    ), copies AS (
        INSERT INTO segments (
            id, sample_id, parent_id, depth, text, origin, ends_output, image_index, copied_from,
            policy_id, author_id, regeneration_id, certainty, weak_words, spans)
        OVERRIDING SYSTEM VALUE
        SELECT
            given.id, :sample, lag(given.id, 1, CAST(:parent AS bigint)) OVER (ORDER BY place),
            :depth + place, coalesce(given.text, source.text), source.origin, given.ends_output,
            source.image_index, source.id, source.policy_id, source.author_id,
            source.regeneration_id,
            CASE WHEN own THEN given.certainty ELSE source.certainty END,
            CASE WHEN own THEN given.weak_words ELSE source.weak_words END,
            given.spans
        FROM given JOIN segments AS source ON source.id = given.source
        RETURNING id, depth
    )
    SELECT id FROM copies ORDER BY depth
    """
)


def segments_of(db: Session, ids: Iterable[int]) -> dict[int, PathSegment]:
    """The segments with these ids, on any path."""
    found = (PathSegment(*row) for row in db.execute(_SOME, {"ids": [*ids]}).all())
    return {segment.id: segment for segment in found}


@dataclass(frozen=True, slots=True)
class Path:
    """The segments from the root to a leaf; their texts concatenate to the output exactly."""

    steps: tuple[PathSegment, ...]

    @classmethod
    def load(cls, db: Session, leaf_id: int) -> Self:
        """Read the path that ends at `leaf_id`, in one recursive query."""
        return cls(tuple(PathSegment(*row) for row in db.execute(_WALK, {"leaf": leaf_id}).all()))

    @property
    def leaf(self) -> PathSegment:
        """The last segment, or the root of an empty output."""
        return self.steps[-1]

    @property
    def segments(self) -> tuple[PathSegment, ...]:
        """All segments except the root."""
        return self.steps[1:]

    def find(self, segment_id: int) -> PathSegment | None:
        """The segment with that id; None when it is not on this path."""
        return next((segment for segment in self.steps if segment.id == segment_id), None)

    def segment(self, segment_id: int) -> PathSegment:
        """The segment with that id. Raises Conflict when it is not, or no longer, on this path."""
        found = self.find(segment_id)
        if found is None or found.parent_id is None:
            raise Outdated(GONE)
        return found

    def after(self, segment: PathSegment) -> tuple[PathSegment, ...]:
        """The segments that follow `segment`, in order."""
        return self.deeper_than(segment.depth)

    def deeper_than(self, depth: int) -> tuple[PathSegment, ...]:
        """The segments below `depth`, in order."""
        return tuple(segment for segment in self.steps if segment.depth > depth)

    def parent(self, segment: PathSegment) -> PathSegment:
        """The segment before `segment`; the root before the first segment."""
        return self.steps[segment.depth - 1]

    def fork(self, *below: PathSegment) -> "Path":
        """The path of the segments above the first of these, followed by these."""
        return Path((*self.steps[: below[0].depth], *below)) if below else self

    def above(self, segment: PathSegment) -> "Path":
        """The part of the path before `segment`."""
        return Path(self.steps[: segment.depth])

    def down_to(self, segment: PathSegment) -> "Path":
        """The part of the path that ends with `segment`."""
        return Path(self.steps[: segment.depth + 1])


def add_human(
    db: Session,
    *,
    sample_id: int,
    parent: PathSegment,
    text: str,
    author_id: int,
    ends_output: bool,
    image_index: int | None,
    spans: Spans,
) -> PathSegment:
    """Add a segment that a person wrote, below `parent`. spans: 0 names its own text."""
    added = PathSegment(
        id=0,
        parent_id=parent.id,
        depth=parent.depth + 1,
        text=text,
        origin=Origin.HUMAN,
        ends_output=ends_output,
        image_index=image_index,
        copied_from=None,
        policy_id=None,
        author_id=author_id,
        regeneration_id=None,
        stored_spans=stored(spans),
    )
    values: dict[str, Any] = {name: getattr(added, name) for name in _FIELDS[1:-1]}
    values |= {"sample_id": sample_id, "spans": added.stored_spans}
    return replace(added, id=db.execute(_ADD, values).scalar_one())


@dataclass(frozen=True, slots=True)
class Copy:
    """Text to copy from `source`. A split or a merge copies a text that differs from the source's.

    spans: of this text; None copies a model's text whole and unchanged.
    certainty, weak_words: a part has no known mean, but its weak words are known.
    """

    source: PathSegment
    text: str
    ends_output: bool
    spans: Spans | None
    certainty: float | None = None
    weak_words: list[list[float]] | None = None


def add_copies(
    db: Session, *, sample_id: int, parent: PathSegment, copies: Sequence[Copy]
) -> tuple[PathSegment, ...]:
    """Insert copies below `parent`, each below the one before it; each names its source."""
    if not copies:
        return ()
    # The database has the text of an unchanged copy: only new text is sent there.
    own = [copy if _is_other(copy) else None for copy in copies]
    values = {
        "sample": sample_id,
        "parent": parent.id,
        "depth": parent.depth,
        "sources": [copy.source.id for copy in copies],
        "own": [copy is not None for copy in own],
        "texts": [copy and copy.text for copy in own],
        "ends": [copy.ends_output for copy in copies],
        "spans": [_json(stored(copy.spans) if copy.spans is not None else None) for copy in copies],
        "certainty": [copy and copy.certainty for copy in own],
        "weak_words": [copy and _json(copy.weak_words) for copy in own],
    }
    added: list[PathSegment] = []
    for copy, made in zip(copies, db.execute(_COPY, values).all(), strict=True):
        parent = replace(
            copy.source,
            id=made.id,
            parent_id=parent.id,
            depth=parent.depth + 1,
            text=copy.text,
            ends_output=copy.ends_output,
            copied_from=copy.source.id,
            certainty=copy.certainty,
            weak_words=copy.weak_words,
            candidate=None,
            stored_spans=stored(copy.spans) if copy.spans is not None else None,
            engine=None,
        )
        added.append(parent)
    return tuple(added)


def _is_other(copy: Copy) -> bool:
    """Whether the text, or what is known of its words, differs from the source's."""
    source = copy.source
    return (copy.text, copy.certainty, copy.weak_words) != (
        source.text,
        source.certainty,
        source.weak_words,
    )


def _json(value: Stored) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def whole(steps: Iterable[PathSegment]) -> list[Copy]:
    """Unchanged copies of the segments."""
    return [copy_of(segment) for segment in steps]


def copy_of(segment: PathSegment, spans: Spans | None = None) -> Copy:
    """A copy of a segment. spans: replaces the segment's own spans; the text is the same."""
    # Copies keep their candidate's number: a choice counts while its candidate is in the text.
    if spans is None and (segment.stored_spans is not None or segment.candidate is not None):
        spans = segment.spans
    return Copy(
        segment, segment.text, segment.ends_output, spans, segment.certainty, segment.weak_words
    )


def part(segment: PathSegment, start: int, spans: Spans, *, ends_output: bool) -> Copy:
    """A copy of the part of a segment that starts at `start` and has these spans."""
    end = start + sum(span.length for span in spans)
    weak = within(from_rows(segment.weak_words), start, end)
    text = segment.text[start:end]
    return Copy(segment, text, ends_output, spans, weak_words=to_rows(weak) or None)


def joined(source: PathSegment, first: PathSegment, second: PathSegment) -> Copy:
    """One copy of two segments, attributed to `source`, with the weak words of both."""
    weak = [
        *from_rows(first.weak_words),
        *shifted(from_rows(second.weak_words), len(first.text)),
    ]
    text = first.text + second.text
    spans = (*first.spans, *second.spans)
    return Copy(source, text, second.ends_output, spans, weak_words=to_rows(weak) or None)
