"""What is new in regenerations since somebody last looked: text, finished segments, state."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.segments import RuleKind
from app.models import Project, Regeneration, RunState, Sample
from app.regenerations.candidates import offered
from app.regenerations.texts import written_text


@dataclass(frozen=True, slots=True)
class Position:
    """How far a reader is: text up to `offset`, segments up to `cut`, both in code points."""

    regeneration_id: int
    offset: int
    cut: int


@dataclass(frozen=True, slots=True)
class Followed:
    """A finished segment and where it stands in the regeneration's text."""

    segment_id: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class News:
    """What a reader at a position does not have yet.

    chunks: (start, text) in order, beginning at the position's offset or, when old text has been
    cleared away, later; then the segments hold what is missing. candidates: how many are offered
    for the first segment so far; 0 once one is taken.
    """

    state: RunState
    error: str | None
    written: int
    leaf_id: int
    chunks: tuple[tuple[int, str], ...]
    segments: tuple[Followed, ...]
    candidates: int = 0


def position(
    db: Session, *, regeneration_id: int, offset: int = 0, cut: int | None = None
) -> Position:
    """Where somebody stands who has the text up to `offset`.

    cut: the end of the last segment that they have. If they do not say, they have every segment
    that the rule could know of by then: a segment is cut only once the text behind it shows that
    it is complete (segments.Splitter), for headings when their line has ended.
    """
    if cut is not None or offset == 0:
        return Position(regeneration_id, offset, min(cut or 0, offset))
    ends = [one.end for one in _segments(db, [regeneration_id]).get(regeneration_id, ())]
    known = [0, *(end for end in ends if end <= offset)]
    if len(known) == 1:
        return Position(regeneration_id, offset, 0)
    behind = written_text(db, regeneration_id, known[-1])[: offset - known[-1]]
    kind = db.scalars(
        select(Project.rule)
        .join(Sample, Sample.project_id == Project.id)
        .join(Regeneration, Regeneration.sample_id == Sample.id)
        .where(Regeneration.id == regeneration_id)
    ).one()
    if kind in (RuleKind.SLIDES, RuleKind.HEADINGS):
        seen = "\n" in behind or "\r" in behind
    else:
        seen = bool(behind.strip())
    return Position(regeneration_id, offset, known[-1] if seen else known[-2])


def news(db: Session, positions: Sequence[Position]) -> list[News]:
    """What is new for each position, read in a few queries for all of them.

    The rows are read first and bound the rest: since text and segments are only ever added, what
    comes of them agrees with the state.
    """
    ids = {one.regeneration_id for one in positions}
    rows = db.execute(
        select(
            Regeneration.id,
            Regeneration.state,
            Regeneration.error,
            Regeneration.written,
            Regeneration.cut,
            Regeneration.leaf_id,
            (
                (Regeneration.candidates > 0) & (Regeneration.leaf_id == Regeneration.anchor_id)
            ).label("undecided"),
        ).where(Regeneration.id.in_(ids))
    )
    runs = {row.id: row for row in rows}
    offers = offered(db, [run.id for run in runs.values() if run.undecided])
    behind = [
        (at, one)
        for at, one in enumerate(positions)
        if one.offset < runs[one.regeneration_id].written
    ]
    chunks = _chunks(db, behind)
    cut = [one.regeneration_id for one in positions if one.cut < runs[one.regeneration_id].cut]
    segments = _segments(db, cut)
    return [
        News(
            state=(run := runs[one.regeneration_id]).state,
            error=run.error,
            written=run.written,
            leaf_id=run.leaf_id,
            chunks=chunks.get(at, ()),
            segments=tuple(
                found for found in segments.get(run.id, ()) if one.cut < found.end <= run.cut
            ),
            candidates=offers.get(run.id, 0),
        )
        for at, one in enumerate(positions)
    ]


def _chunks(
    db: Session, behind: Sequence[tuple[int, Position]]
) -> dict[int, tuple[tuple[int, str], ...]]:
    if not behind:
        return {}
    rows = db.execute(
        _CHUNKS_SINCE,
        {
            "places": [at for at, _ in behind],
            "ids": [one.regeneration_id for _, one in behind],
            "offsets": [one.offset for _, one in behind],
        },
    )
    since = {at: one.offset for at, one in behind}
    return {
        at: tuple(
            (max(row.start, since[at]), row.text[max(0, since[at] - row.start) :])
            for row in group
            if row.start + len(row.text) > since[at]
        )
        for at, group in groupby(rows, key=lambda row: row.at)
    }


def _segments(db: Session, ids: Sequence[int]) -> dict[int, list[Followed]]:
    """The finished segments of regenerations, in order: their paths from the anchor to the leaf.

    Copies of them and candidates that were not taken stand beside those paths.
    """
    found: dict[int, list[Followed]] = {}
    if not ids:
        return found
    for regeneration_id, segment_id, length in db.execute(_FINISHED, {"ids": [*ids]}):
        chain = found.setdefault(regeneration_id, [])
        start = chain[-1].end if chain else 0
        chain.append(Followed(segment_id, start, start + length))
    return found


_FINISHED = text(
    """
    WITH RECURSIVE walk AS (
        SELECT run.id AS run, run.anchor_id, leaf.id, leaf.parent_id, leaf.depth,
            length(leaf.text) AS length
        FROM regenerations AS run JOIN segments AS leaf ON leaf.id = run.leaf_id
        WHERE run.id = ANY (CAST(:ids AS bigint[])) AND run.leaf_id <> run.anchor_id
        UNION ALL
        SELECT walk.run, walk.anchor_id, up.id, up.parent_id, up.depth, length(up.text)
        FROM walk JOIN segments AS up ON up.id = walk.parent_id
        WHERE up.id <> walk.anchor_id
    )
    SELECT run, id, length FROM walk ORDER BY run, depth
    """
)

_CHUNKS_SINCE = text(
    """
    SELECT place.at, chunk.start, chunk.text
    FROM unnest(
        CAST(:places AS bigint[]), CAST(:ids AS bigint[]), CAST(:offsets AS bigint[])
    ) AS place (at, regeneration_id, since)
    JOIN chunks AS chunk ON chunk.regeneration_id = place.regeneration_id
        AND chunk.start >= coalesce((
            SELECT max(start) FROM chunks AS first
            WHERE first.regeneration_id = place.regeneration_id AND first.start <= place.since
        ), 0)
    ORDER BY place.at, chunk.start
    """
)
