"""Steer a waiting run: choose a candidate, or let it write on."""

from sqlalchemy.orm import Session

from app import regenerations
from app.annotation.edits import pairing
from app.annotation.edits.path import Path, segments_of
from app.annotation.edits.revision import begin, draft_state, record
from app.models import Action, Draft
from app.refusals import Outdated


def choose(
    db: Session, *, draft: Draft, base_version: int, regeneration_id: int, segment_id: int
) -> int:
    """Continue with one candidate; each of the others becomes the rejected side of a pair.

    A choice says which candidate is best, not that it is correct: the segment has no verdict yet.
    Returns the segment's id. Raises Conflict when the candidate is no longer offered.
    """
    begin(draft, base_version)
    before = draft_state(db, draft)
    taken = None
    if draft.regeneration_id == regeneration_id:
        taken = regenerations.take(
            db, draft=draft, regeneration_id=regeneration_id, segment_id=segment_id
        )
    if taken is None:
        raise Outdated(
            "This continuation is no longer available. Reload the page to see the current text."
        )
    segment, others = taken
    after = Path.load(db, segment.id)
    chosen = after.leaf
    preferred = segments_of(db, [other.id for other in others])
    pairing.choose(db, draft=draft, chosen=chosen, others=[preferred[other.id] for other in others])
    record(
        db,
        draft=draft,
        action=Action.CHOOSE,
        before=before,
        after=after,
        verdicts={},
        segment_id=chosen.id,
    )
    return chosen.id


def write_on(db: Session, *, draft: Draft, regeneration_id: int) -> bool:
    """Let a waiting run continue. False: the run was not waiting, and nothing changed."""
    if draft.finished_at is not None or draft.regeneration_id != regeneration_id:
        return False
    return regenerations.resume(db, draft=draft, regeneration_id=regeneration_id)
