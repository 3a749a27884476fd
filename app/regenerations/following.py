"""What is new in regenerations since a reader's position: text, finished segments, state."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.models import Regeneration, RunState
from app.regenerations.candidates import offered
from app.regenerations.cutting import cutting_of
from app.regenerations.texts import path_text, written_text


@dataclass(frozen=True, slots=True)
class Position:
    """A reader's position: text up to `offset`, segments up to `cut`, both in code points."""

    regeneration_id: int
    offset: int
    cut: int


@dataclass(frozen=True, slots=True)
class Followed:
    """A finished segment and its position in the regeneration's text."""

    segment_id: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class News:
    """What a reader at a position does not have yet.

    start: where text begins: the position's offset, or later when old text has been cleared away;
        the segments then hold what is missing.
    candidates: how many are offered for the first segment so far; 0 once one is taken.
    """

    state: RunState
    error: str | None
    written: int
    start: int
    text: str
    segments: tuple[Followed, ...]
    candidates: int = 0


def position(
    db: Session, *, regeneration_id: int, offset: int = 0, cut: int | None = None
) -> Position:
    """The position of a reader who has the text up to `offset`.

    cut: the end of the reader's last segment. If it is not given, the reader is assumed to have
        every segment that the rule could complete by then: a segment is cut only once later text
        shows that it is complete (segments.Splitter).
    """
    if cut is not None or offset == 0:
        return Position(regeneration_id, offset, min(cut or 0, offset))
    run = db.get_one(Regeneration, regeneration_id)
    before = path_text(db, run.anchor_id)
    written = path_text(db, run.leaf_id)[len(before) :] + written_text(db, run.id, run.cut)
    cutting = cutting_of(db, sample_id=run.sample_id, behind_id=run.anchor_id)
    known = sum(len(piece.text) for piece in cutting.splitter(before).feed(written[:offset]))
    ends = [one.end for one in _finished(db, [(0, run.leaf_id, run.cut, 0)]).get(0, ())]
    return Position(regeneration_id, offset, max((end for end in ends if end <= known), default=0))


def news(db: Session, positions: Sequence[Position]) -> list[News]:
    """What is new for each position, read in one query for all of them.

    Segments that have been finished since, and offered candidates, need one more. They are read
    after the rows, which bound them: text and segments are only ever added, so all agrees with the
    state even if `db` sees each query at a moment of its own.
    """
    rows = db.execute(
        _NEWS,
        {
            "ids": [one.regeneration_id for one in positions],
            "offsets": [one.offset for one in positions],
        },
    ).all()
    offers = offered(db, [row.id for row in rows if row.undecided])
    segments = _finished(
        db,
        [
            (at, row.leaf_id, row.cut, one.cut)
            for at, (one, row) in enumerate(zip(positions, rows, strict=True))
            if one.cut < row.cut
        ],
    )
    return [
        News(
            state=RunState(row.state),
            error=row.error,
            written=row.written,
            start=max(row.start or 0, one.offset),
            text=(row.text or "")[max(0, one.offset - (row.start or 0)) :],
            segments=segments.get(at, ()),
            candidates=offers.get(row.id, 0),
        )
        for at, (one, row) in enumerate(zip(positions, rows, strict=True))
    ]


def _finished(
    db: Session, wanted: Sequence[tuple[int, int, int, int]]
) -> dict[int, tuple[Followed, ...]]:
    """Segments that end behind `cut` on a run's path, in order; a key, leaf, its end, cut of each.

    They are read upwards from the leaf, so it costs what is new, not how long the text is. Copies
    of them and candidates that were not taken stand beside that path.
    """
    if not wanted:
        return {}
    keys, leaves, ends, cuts = zip(*wanted, strict=True)
    rows = db.execute(
        _FINISHED, {"keys": [*keys], "leaves": [*leaves], "ends": [*ends], "cuts": [*cuts]}
    )
    return {
        key: tuple(Followed(row.id, row.start, row.end) for row in group)
        for key, group in groupby(rows, key=lambda row: row.key)
    }


_NEWS = text(
    """
    SELECT run.id, run.state, run.error, run.written, run.cut, run.leaf_id,
        run.candidates > 0 AND run.leaf_id = run.anchor_id AS undecided, new.start, new.text
    FROM unnest(CAST(:ids AS bigint[]), CAST(:offsets AS bigint[]))
        WITH ORDINALITY AS place (regeneration_id, since, at)
    JOIN regenerations AS run ON run.id = place.regeneration_id
    LEFT JOIN LATERAL (
        SELECT min(start) AS start, string_agg(text, '' ORDER BY start) AS text
        FROM chunks WHERE regeneration_id = run.id AND start >= coalesce((
            SELECT max(start) FROM chunks AS first
            WHERE first.regeneration_id = run.id AND first.start <= place.since
        ), 0)
    ) AS new ON run.written > place.since
    ORDER BY place.at
    """
)

_FINISHED = text(
    """
    WITH RECURSIVE walk AS (
        SELECT place.key, place.cut, leaf.id, leaf.parent_id,
            place.until - length(leaf.text) AS start, place.until AS end
        FROM unnest(
            CAST(:keys AS bigint[]), CAST(:leaves AS bigint[]), CAST(:ends AS bigint[]),
            CAST(:cuts AS bigint[])
        ) AS place (key, leaf_id, until, cut)
        JOIN segments AS leaf ON leaf.id = place.leaf_id
        UNION ALL
        SELECT walk.key, walk.cut, up.id, up.parent_id, walk.start - length(up.text), walk.start
        FROM walk JOIN segments AS up ON up.id = walk.parent_id
        WHERE walk.start > walk.cut
    )
    SELECT key, id, start, "end" FROM walk ORDER BY key, start
    """
)
