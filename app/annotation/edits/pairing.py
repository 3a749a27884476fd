"""Which pairs count for a draft: those whose change is in its text.

Every act ends in `settle` (called by revision.record). It reads the changes out of the path's spans
and updates the stored corrections: a new change becomes a pair, a pair whose text has come back
counts again, and a pair whose text is gone is superseded by its replacement or rests.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, text
from sqlalchemy.orm import Session

from app.annotation.edits import sides
from app.annotation.edits.path import Path, PathSegment
from app.domain.corrections import Kind, Verdict, is_on_policy
from app.domain.distances import edited
from app.domain.spans import Change, How, Slice, change_key, changes, join, overlap, read
from app.models import Correction, Draft, Segment, table_of

_KIND = {How.CHANGED: Kind.REWRITE, How.INSERTED: Kind.INSERT, How.DELETED: Kind.DELETE}

# How it came about (None: by a choice), the model's text, and where the chosen one was first
# written: see Change.key.
Key = tuple[How | None, tuple[Slice, ...], tuple[Slice, ...]]


@dataclass(frozen=True, slots=True)
class Settled:
    """What a revision did to the pairs.

    made: new pairs, by their chosen segment.
    rested: how many pairs stopped counting without a replacement.
    """

    made: Mapping[int, int]
    rested: int


def settle(
    db: Session,
    *,
    draft: Draft,
    before: Path,
    after: Path,
    verdicts: Callable[[], Mapping[int, Verdict]],
) -> Settled:
    """Make exactly those pairs count whose chosen text is in the draft's text `after` a revision.

    A deletion counts once the segment that follows it has a verdict. Pairs that an admin retracted
    stay retracted. before: the text that the revision changed.
    """
    wanted = _wanted(after, verdicts)
    known = {_key(row): row for row in db.execute(_STORED, {"draft": draft.id}).all()}
    made: dict[Key, int] = {}
    chosen: dict[int, int] = {}
    for key, change in wanted.items():
        if key not in known and (added := _add(db, draft, before, after, change)):
            side, made[key] = added
            chosen[side] = made[key]
    stands = join(span.text for step in after.segments for span in step.spans)
    back = [row.id for key, row in known.items() if _counts(key, wanted, stands) and _away(row)]
    gone = {
        row.id: _successor(key, made)
        for key, row in known.items()
        if not _counts(key, wanted, stands) and not row.retracted and not _away(row)
    }
    if back or gone:
        ids = {"back": back, "gone": [*gone], "successors": [*gone.values()]}
        db.execute(_SETTLE, ids)
    return Settled(chosen, sum(one is None for one in gone.values()))


def choose(
    db: Session, *, draft: Draft, chosen: PathSegment, others: Sequence[PathSegment]
) -> None:
    """Store that a candidate is preferred over the others. Choosing it again stores nothing new."""
    there = db.scalars(_CHOSEN, {"draft": draft.id, "chosen": chosen.id}).all()
    for other in others:
        if other.id not in there:
            on_policy = is_on_policy(other.origin, False, other.engine)
            _store(db, draft, chosen, other, Kind.CHOICE, on_policy)


def _wanted(path: Path, verdicts: Callable[[], Mapping[int, Verdict]]) -> dict[Key, Change]:
    if all(step.stored_spans is None for step in path.segments):
        return {}
    found = changes([(step.text, step.spans) for step in path.segments])
    return {
        change.key: change
        for change in found
        if change.how is not How.DELETED or path.segments[change.start.index].id in verdicts()
    }


def _key(row: Row[Any]) -> Key:
    chosen = read(row.chosen_spans, segment_id=row.chosen_id, length=row.chosen_length)
    if row.kind in (Kind.REWRITE, Kind.INSERT):
        return change_key(chosen)
    rejected = read(row.rejected_spans, segment_id=row.rejected_id, length=row.rejected_length)
    of, slices = (join(span.text for span in spans) for spans in (rejected, chosen))
    return How.DELETED if row.kind is Kind.DELETE else None, of, slices


def _counts(key: Key, wanted: Mapping[Key, Change], stands: Sequence[Slice]) -> bool:
    how, _, (candidate, *_) = key
    if how is not None:
        return key in wanted
    return any(
        one.segment == candidate.segment and one.start == 0 and one.end == candidate.end
        for one in stands
    )


def _away(row: Row[Any]) -> bool:
    return row.superseded_by is not None or row.rested


def _successor(key: Key, made: Mapping[Key, int]) -> int | None:
    """The new pair for the same text of the model, of the same kind if possible."""
    how, of, _ = key
    if how is None:
        return None
    found = [(new[0] is not how, pair_id) for new, pair_id in made.items() if overlap(of, new[1])]
    return min(found)[1] if found else None


def _add(
    db: Session, draft: Draft, before: Path, after: Path, change: Change
) -> tuple[int, int] | None:
    """Store a change as a pair; returns the ids of its chosen side and itself, or None for equal
    texts.
    """
    known = [*before.segments, *after.segments]
    text, sources = sides.model_text(db, change.of, known=known)
    if text == change.text:
        return None
    parent = sides.parent_of(db, draft=draft, path=after, change=change)
    chosen = sides.chosen_side(db, draft=draft, path=after, parent=parent, change=change)
    rejected = sides.rejected_side(
        db, draft=draft, parent=parent, of=change.of, text=text, sources=sources, known=known
    )
    at = change.start
    prefix = "".join(step.text for step in after.segments[: at.index])
    prefix += after.segments[at.index].text[: at.offset]
    on_policy = sides.wrote_it_here(db, rejected, prefix=prefix)
    return chosen.id, _store(db, draft, chosen, rejected, _KIND[change.how], on_policy)


def _store(
    db: Session,
    draft: Draft,
    chosen: PathSegment,
    rejected: PathSegment,
    kind: Kind,
    on_policy: bool,
) -> int:
    """Store a preference and return its id.

    The schema refuses sides with different parents or equal texts.
    """
    values = {
        "draft_id": draft.id,
        "sample_id": draft.sample_id,
        "annotator_id": draft.user_id,
        "parent_id": chosen.parent_id,
        "chosen_id": chosen.id,
        "rejected_id": rejected.id,
        "kind": kind,
        "on_policy": on_policy,
        "edited": edited(rejected.text, chosen.text),
    }
    return int(db.execute(_ADD, values).scalar_one())


# Statements are built once: composing one costs SQLAlchemy more than running it.
_CORRECTIONS = table_of(Correction)
_ADD = insert(_CORRECTIONS).returning(_CORRECTIONS.c.id)
_CHOSEN = select(Correction.rejected_id).where(
    Correction.draft_id == bindparam("draft"),
    Correction.chosen_id == bindparam("chosen"),
    Correction.kind == Kind.CHOICE,
)
_C, _R = table_of(Segment).alias(), table_of(Segment).alias()
_STORED = (
    select(
        _CORRECTIONS.c.id,
        _CORRECTIONS.c.kind,
        _CORRECTIONS.c.superseded_by,
        _CORRECTIONS.c.retracted_at.is_not(None).label("retracted"),
        _CORRECTIONS.c.rested_at.is_not(None).label("rested"),
        _C.c.id.label("chosen_id"),
        func.length(_C.c.text).label("chosen_length"),
        _C.c.spans.label("chosen_spans"),
        _R.c.id.label("rejected_id"),
        func.length(_R.c.text).label("rejected_length"),
        _R.c.spans.label("rejected_spans"),
    )
    .join(_C, _C.c.id == _CORRECTIONS.c.chosen_id)
    .join(_R, _R.c.id == _CORRECTIONS.c.rejected_id)
    .where(_CORRECTIONS.c.draft_id == bindparam("draft"))
    # Of two for the same change, the later one.
    .order_by(_CORRECTIONS.c.id)
)
_SETTLE = text(
    """
    UPDATE corrections SET
        superseded_by = changed.successor,
        rested_at = CASE WHEN changed.gone AND changed.successor IS NULL THEN now() END
    FROM (
        SELECT id, NULL AS successor, false AS gone FROM unnest(CAST(:back AS bigint[])) AS id
        UNION ALL
        SELECT id, successor, true
        FROM unnest(CAST(:gone AS bigint[]), CAST(:successors AS bigint[])) AS of (id, successor)
    ) AS changed
    WHERE corrections.id = changed.id
    """
)
