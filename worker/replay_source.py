"""The text that a replayed regeneration writes: the displaced text, and what followed it.

A regeneration replaces a continuation. Replaying writes that continuation again, in the model's own
words, with the corrections before it carried on. Later corrections and insertions are left out: a
model would not know of them. Where the displaced text is itself the beginning of a replay that was
stopped or superseded, the rest of that one follows.
"""

from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.replay import continuation
from app.domain.tree import Origin
from app.regenerations import Work


@dataclass(frozen=True, slots=True)
class _Node:
    """A segment of the tree without its text."""

    id: int
    parent_id: int | None
    depth: int
    origin: Origin
    ends_output: bool
    copied_from: int | None
    regeneration_id: int | None


@dataclass(frozen=True, slots=True)
class _Run:
    """What matters of a regeneration here.

    broken_off: it ended in the middle, and its last segment is what was there by then. One that
    was superseded, also while it waited for its annotator, ends with a whole segment.
    """

    id: int
    anchor_id: int
    leaf_id: int
    displaced_id: int
    displaced_depth: int
    broken_off: bool
    replayed: bool


class Source:
    """The segments of one sample, and what followed where; reads texts as they are needed."""

    def __init__(self, db: Session, work: Work) -> None:
        self._db = db
        self._work = work
        self._texts: dict[int, str] = {}
        self._full: dict[int, str] = {}

    def rest(self) -> str:
        """What is still to be written of the work's regeneration.

        Raises ValueError when what is kept of it is not the beginning of its replay.
        """
        run = self._runs[self._work.regeneration_id]
        return self._continuation(run, self._work.kept)

    def _continuation(self, run: _Run, kept: str = "") -> str:
        return continuation([self._displaced(run)], 0, self._pairs(run.anchor_id), kept)

    def _displaced(self, run: _Run) -> str:
        replaced = [one for one in self._path(run.displaced_id) if one.depth > run.displaced_depth]
        self._load([one.id for one in replaced])
        return "".join(map(self._model_text, replaced)) + self._after(run.displaced_id)

    def _after(self, segment_id: int) -> str:
        """What followed a segment when it was written, or would have."""
        segment = self._segments[segment_id]
        if segment.ends_output:
            return ""
        if segment.origin is Origin.ROOT:
            return self._text_of(self._original)
        if segment.copied_from is not None:
            return self._after_copy(segment, self._segments[segment.copied_from])
        if segment.origin is Origin.HUMAN:
            rejected = self._rejected(segment)
            if rejected is None:
                return self._after(self._parent(segment).id)
            following = self._after(rejected.id)
            # The end of a piece that was cut off by Stop is what the annotator wrote instead.
            if self._is_cut_off(rejected):
                return self._without_rest(rejected, following)
            return following
        if segment.regeneration_id is not None:
            return self._after_generated(segment, self._runs[segment.regeneration_id])
        if segment in self._original:
            return self._text_of(self._original[self._original.index(segment) + 1 :])
        return ""

    def _without_rest(self, piece: _Node, following: str) -> str:
        """What followed a piece that was cut off, without the rest of its segment."""
        splitter = self._work.cutting.splitter(self._text_of(self._path(piece.id)))
        pieces = splitter.feed(following) + splitter.close()
        return "".join(piece.text for piece in pieces[1:])

    def _after_copy(self, copy: _Node, source: _Node) -> str:
        own, whole, after = self._text(copy.id), self._text(source.id), self._after(source.id)
        if own != whole and whole.startswith(own):
            # The first part of a split.
            return whole[len(own) :] + after
        if own.startswith(whole):
            # A merge: it took what follows, or the beginning of that, with it.
            return after.removeprefix(own[len(whole) :])
        return after

    def _after_generated(self, segment: _Node, run: _Run) -> str:
        if not run.replayed:
            return ""
        anchor = self._segments[run.anchor_id]
        # All that stands below the anchor; a candidate may be that of an earlier run.
        own = self._path(segment.id)[anchor.depth + 1 :]
        if run.id not in self._full:
            self._full[run.id] = self._continuation(run)
        return self._full[run.id][len(self._text_of(own)) :]

    def _model_text(self, segment: _Node) -> str:
        origin = self._origin(segment)
        if origin.origin is not Origin.HUMAN or self._text(origin.id) != self._text(segment.id):
            return self._text(segment.id)
        rejected = self._rejected(origin)
        return self._text(rejected.id) if rejected else ""

    def _pairs(self, anchor_id: int) -> list[tuple[str, str]]:
        """The texts rejected and chosen on the way to the anchor, in order."""
        found = []
        for segment in map(self._origin, self._path(anchor_id)):
            rejected = self._rejected(segment)
            if rejected is not None:
                found.append((rejected.id, segment.id))
        self._load([one for pair in found for one in pair])
        return [(self._text(rejected), self._text(chosen)) for rejected, chosen in found]

    def _rejected(self, chosen: _Node) -> _Node | None:
        rejected_id = self._rewrites.get(chosen.id)
        return self._segments[rejected_id] if rejected_id is not None else None

    def _is_cut_off(self, segment: _Node) -> bool:
        run = self._runs.get(segment.regeneration_id or 0)
        return (
            run is not None
            and segment.copied_from is None
            and run.leaf_id == segment.id
            and run.broken_off
        )

    def _origin(self, segment: _Node) -> _Node:
        while segment.copied_from is not None:
            segment = self._segments[segment.copied_from]
        return segment

    def _path(self, leaf_id: int) -> list[_Node]:
        path = [self._segments[leaf_id]]
        while path[-1].parent_id is not None:
            path.append(self._segments[path[-1].parent_id])
        return path[::-1]

    def _parent(self, segment: _Node) -> _Node:
        assert segment.parent_id is not None  # noqa: S101 - only the root has none
        return self._segments[segment.parent_id]

    def _text_of(self, segments: list[_Node]) -> str:
        self._load([one.id for one in segments])
        return "".join(self._text(one.id) for one in segments)

    def _text(self, segment_id: int) -> str:
        self._load([segment_id])
        return self._texts[segment_id]

    def _load(self, ids: list[int]) -> None:
        missing = [one for one in ids if one not in self._texts]
        if missing:
            rows = self._db.execute(_TEXTS, {"ids": missing})
            self._texts |= {row.id: row.text for row in rows}

    @cached_property
    def _segments(self) -> dict[int, _Node]:
        rows = self._db.execute(_NODES, {"sample": self._work.sample_id})
        return {
            row.id: _Node(row.id, row.parent_id, row.depth, Origin(row.origin), *row[4:])
            for row in rows
        }

    @cached_property
    def _original(self) -> list[_Node]:
        head = self._db.scalars(_HEAD, {"sample": self._work.sample_id}).one()
        return self._path(head)[1:] if head is not None else []

    @cached_property
    def _runs(self) -> dict[int, _Run]:
        rows = self._db.execute(_RUNS, {"sample": self._work.sample_id})
        return {row.id: _Run(*row) for row in rows}

    @cached_property
    def _rewrites(self) -> dict[int, int]:
        """The rejected side of each rewrite of this sample, by its chosen side."""
        rows = self._db.execute(_REWRITES, {"sample": self._work.sample_id})
        return {row.chosen_id: row.rejected_id for row in rows}


_TEXTS = text("SELECT id, text FROM segments WHERE id = ANY (CAST(:ids AS bigint[]))")
_NODES = text(
    """
    SELECT id, parent_id, depth, origin, ends_output, copied_from, regeneration_id
    FROM segments WHERE sample_id = :sample
    """
)
_HEAD = text("SELECT head_id FROM samples WHERE id = :sample")
_RUNS = text(
    """
    SELECT run.id, anchor_id, leaf_id, displaced_id, displaced_depth,
        run.state IN ('cancelled', 'failed') AS broken_off,
        coalesce(policy.engine = 'replay', false) AS replayed
    FROM regenerations AS run LEFT JOIN policies AS policy ON policy.id = run.policy_id
    WHERE sample_id = :sample
    """
)
_REWRITES = text(
    "SELECT chosen_id, rejected_id FROM corrections WHERE sample_id = :sample AND kind = 'rewrite'"
)
