"""Candidates: alternatives for the first segment of a regeneration, and the choice among them.

They are siblings below its anchor and on no path until one is taken: its text then becomes the
first of the run's, as if the run had written it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, or_, select, text
from sqlalchemy.orm import Session

from app.database import notifications
from app.models import (
    UNFINISHED,
    Chunk,
    Draft,
    Regeneration,
    RunState,
    Segment,
    now,
)
from app.regenerations.requests import (
    announce_end,
    defer,
    go_on,
    locked,
    priority_of,
    supersede,
)
from app.regenerations.writing import Cut, Outcome, add_segments, segment_values


@dataclass(frozen=True, slots=True)
class Candidate:
    """An attempt's complete alternative with its 0-based index."""

    regeneration_id: int
    attempt: int
    index: int
    cut: Cut
    ends_output: bool


def candidates(db: Session, run: Regeneration) -> Sequence[Segment]:
    """The alternatives so far, in the order in which they came."""
    chain = select(Regeneration.id).where(
        Regeneration.draft_id == run.draft_id,
        or_(Regeneration.id == run.offer_id, Regeneration.candidates_of == run.offer_id),
    )
    return db.scalars(
        select(Segment)
        .where(
            Segment.parent_id == run.anchor_id,
            Segment.candidate.is_not(None),
            Segment.regeneration_id.in_(chain),
        )
        .order_by(Segment.id)
    ).all()


def offered(db: Session, regeneration_ids: Sequence[int]) -> dict[int, int]:
    """How many alternatives each of these regenerations has so far; absent: none."""
    if not regeneration_ids:
        return {}
    rows = db.execute(_OFFERED, {"ids": [*regeneration_ids]})
    return {row.id: row.offered for row in rows}


def offer(db: Session, candidate: Candidate) -> Outcome:
    """Store an alternative that an attempt has finished; one text is kept once.

    A candidate may come twice (its COMMIT was sent and the connection died).
    """
    run, outcome = _held(db, candidate.regeneration_id, candidate.attempt)
    if run is None:
        return outcome
    there = candidates(db, run)
    cut = candidate.cut
    if any(one.candidate == candidate.index or one.text == cut.text for one in there):
        return Outcome.WRITTEN
    anchor = db.get_one(Segment, run.anchor_id)
    values = segment_values(
        cut,
        sample_id=run.sample_id,
        parent_id=anchor.id,
        depth=anchor.depth + 1,
        ends_output=candidate.ends_output,
        policy_id=run.policy_id,
        regeneration_id=run.id,
        candidate=candidate.index,
        deleted=run.deleted,
    )
    add_segments(db, [values])
    notifications.notify(db, f"regeneration:{run.id}")
    return Outcome.WRITTEN


def settle(db: Session, *, regeneration_id: int, attempt: int) -> Outcome:
    """Let the annotator choose among what the attempt has offered.

    A single text is taken without a choice. Without any, the model had nothing to add.
    """
    run, outcome = _held(db, regeneration_id, attempt)
    if run is None:
        return outcome
    there = candidates(db, run)
    run.worker = run.lease_until = None
    if len(there) > 1:
        run.state = RunState.WAITING
        db.flush()
        notifications.notify(db, f"regeneration:{run.id}", f"draft:{run.draft_id}")
    elif there:
        _take(db, draft=db.get_one(Draft, run.draft_id), run=run, segment=there[0])
    else:
        _end(db, run)
    return Outcome.WRITTEN


def take(
    db: Session, *, draft: Draft, regeneration_id: int, segment_id: int
) -> tuple[Segment, Sequence[Segment]] | None:
    """Continue with one of the candidates, even while others are being written.

    Returns it and the others so far; None when the run does not, or no longer, offers it.
    """
    run = locked(db, draft_id=draft.id, regeneration_id=regeneration_id, states=UNFINISHED)
    if run is None or not run.undecided:
        return None
    there = candidates(db, run)
    taken = next((one for one in there if one.id == segment_id), None)
    if taken is None:
        return None
    run.worker = run.lease_until = None
    _take(db, draft=draft, run=run, segment=taken)
    return taken, [one for one in there if one is not taken]


def offer_again(db: Session, *, draft: Draft, of: Regeneration) -> Regeneration:
    """A new run that replaces `of`, offers the same candidates and becomes the draft's.

    What `of` has written stays as it is. Missing candidates are written first.
    """
    supersede(db, draft_id=draft.id)
    complete = len(candidates(db, of)) > 1
    number = select(func.max(Regeneration.number) + 1).where(Regeneration.draft_id == draft.id)
    run = Regeneration(
        draft_id=draft.id,
        sample_id=draft.sample_id,
        number=db.scalars(number).one(),
        anchor_id=of.anchor_id,
        leaf_id=of.anchor_id,
        displaced_id=of.displaced_id,
        displaced_depth=of.displaced_depth,
        settings=of.settings,
        policy_id=of.policy_id,
        wanted=of.settings.get("look_ahead"),
        candidates=of.candidates,
        candidates_of=of.offer_id,
        deleted=of.deleted,
        priority=priority_of(db, draft),
        state=RunState.WAITING if complete else RunState.QUEUED,
    )
    db.add(run)
    db.flush()
    if not complete:
        defer(db, run.id, run.priority)
    draft.head_id, draft.regeneration_id = run.anchor_id, run.id
    return run


def _take(db: Session, *, draft: Draft, run: Regeneration, segment: Segment) -> None:
    """Make the candidate the run's first segment; the caller has locked the row."""
    length = len(segment.text)
    db.execute(insert(Chunk).values(regeneration_id=run.id, start=0, text=segment.text))
    run.leaf_id, run.written, run.cut = segment.id, length, length
    run.first_text_at = run.first_text_at or now()
    # What is read by now does not count: so much is written ahead of it.
    run.wanted = None if run.wanted is None else 0
    if segment.ends_output:
        _end(db, run)
    else:
        go_on(db, draft=draft, run=run)


def _end(db: Session, run: Regeneration) -> None:
    run.state, run.stop_reason, run.finished_at = RunState.DONE, "stop", now()
    db.flush()
    announce_end(db, run.draft_id, run.id)


def _held(db: Session, regeneration_id: int, attempt: int) -> tuple[Regeneration | None, Outcome]:
    """The row, locked, if that attempt holds it; otherwise whether to try again shortly."""
    mine = (
        Regeneration.id == regeneration_id,
        Regeneration.attempt == attempt,
        Regeneration.state == RunState.RUNNING,
    )
    run = db.scalar(
        select(Regeneration)
        .where(*mine)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    if run is not None:
        return run, Outcome.WRITTEN
    busy = db.scalar(select(Regeneration.id).where(*mine))
    return None, Outcome.BUSY if busy is not None else Outcome.LOST


_OFFERED = text(
    """
    SELECT run.id, count(*) AS offered
    FROM regenerations AS run
    JOIN regenerations AS writer ON writer.draft_id = run.draft_id
        AND coalesce(writer.candidates_of, writer.id) = coalesce(run.candidates_of, run.id)
    JOIN segments AS segment ON segment.regeneration_id = writer.id
        AND segment.candidate IS NOT NULL AND segment.parent_id = run.anchor_id
    WHERE run.id = ANY (CAST(:ids AS bigint[]))
    GROUP BY run.id
    """
)
