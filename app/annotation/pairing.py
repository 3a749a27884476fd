"""What of a change becomes a preference pair: two siblings, the chosen and the rejected text."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from app.annotation.path import Path, Step
from app.domain.corrections import Kind, is_on_policy
from app.domain.distances import edited
from app.domain.tree import Origin
from app.models import Action, Correction, Draft, Revision, Segment, table_of

# Statements are built once: to put one together costs SQLAlchemy more than to run it.
_ADD = insert(table_of(Correction)).returning(table_of(Correction).c.id)
_NOT_SUPERSEDED = (
    select(Correction)
    .where(
        Correction.draft_id == bindparam("draft"),
        Correction.chosen_id == bindparam("chosen"),
        Correction.superseded_by.is_(None),
        # That it was chosen among candidates says nothing about a text it would have replaced.
        Correction.kind != Kind.CHOICE,
    )
    .order_by(Correction.id)
)
_DELETION = (
    select(Revision)
    .join(Segment, Segment.id == Revision.segment_id)
    .where(
        Revision.draft_id == bindparam("draft"),
        Revision.action == Action.DELETE,
        Revision.correction_id.is_(None),
        Revision.undone_by.is_(None),
        Segment.parent_id == bindparam("parent"),
        Segment.origin == Origin.MODEL,
    )
    .order_by(Revision.version.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Claims:
    """The pairs in which a segment is the chosen side.

    replaced: the one by which it replaced the model's text, or None; retracted, if an admin took it
    back: what the annotator makes of the segment is then another pair, and that one stays so.
    deletions: those that count by which it is preferred over segments deleted in front of it.
    """

    replaced: Correction | None
    deletions: Sequence[Correction]


def claims(db: Session, draft: Draft, step: Step) -> Claims:
    """The draft's pairs for which `step` stands."""
    if step.origin is Origin.MODEL and step.copied_from is None and step.regeneration_id is None:
        return Claims(None, [])  # as imported: nothing has been put in anybody's place
    found = db.scalars(_NOT_SUPERSEDED, {"draft": draft.id, "chosen": step.id}).all()
    # One that counts before one that was retracted, a later one before an earlier one.
    put = [pair for pair in found if pair.kind is not Kind.DELETE]
    replaced = max(put, key=lambda pair: (pair.retracted_at is None, pair.id), default=None)
    live = [pair for pair in found if pair.retracted_at is None]
    return Claims(replaced, [pair for pair in live if pair.kind is Kind.DELETE])


def stands_for_pairs(db: Session, *, draft: Draft, segment_id: int) -> bool:
    """Whether a correction of what a person wrote is a pair: it takes the segment's place in one.

    A copy is in none: the text that its source is preferred over has another parent.
    """
    found = db.scalars(_NOT_SUPERSEDED, {"draft": draft.id, "chosen": segment_id})
    return any(pair.kind is not Kind.DELETE or pair.retracted_at is None for pair in found)


def rejected_step(db: Session, step: Step, replaced: Correction | None) -> Step | None:
    """The model's text that a correction of `step` is preferred over.

    None for text that a person wrote and that replaced nothing: its correction is no pair.
    """
    if replaced is not None:
        return Path.load(db, replaced.rejected_id).leaf
    return step if step.origin is Origin.MODEL else None


def pair(db: Session, *, draft: Draft, chosen: Step, rejected: Step, kind: Kind) -> int:
    """Store a preference and return its id.

    The schema refuses sides with different parents or equal texts.
    """
    copied = rejected.copied_from is not None
    values = {
        "draft_id": draft.id,
        "sample_id": draft.sample_id,
        "annotator_id": draft.user_id,
        "parent_id": chosen.parent_id,
        "chosen_id": chosen.id,
        "rejected_id": rejected.id,
        "kind": kind,
        "on_policy": is_on_policy(rejected.origin, copied, rejected.engine),
        "edited": edited(rejected.text, chosen.text),
    }
    return int(db.execute(_ADD, values).scalar_one())


def hand_on(db: Session, *, draft: Draft, deletions: Sequence[Correction], chosen: Step) -> None:
    """What was preferred over deleted segments has been corrected: now `chosen`, its correction,
    is preferred over them."""
    for deletion in deletions:
        rejected = Path.load(db, deletion.rejected_id).leaf
        if rejected.text != chosen.text:
            deletion.superseded_by = pair(
                db, draft=draft, chosen=chosen, rejected=rejected, kind=Kind.DELETE
            )


def confirm_deletion(
    db: Session, *, draft: Draft, follower: Step, generated: Step | None = None
) -> None:
    """Store the pair of a deletion whose follower was regenerated and now has its verdict.

    The follower (as written, or as corrected from `generated`) is preferred over the segment that
    was deleted in front of it. Nothing happens for any other segment.
    """
    source = generated or follower
    if source.regeneration_id is None or source.copied_from is not None:
        return
    deletion = db.scalar(_DELETION, {"draft": draft.id, "parent": source.parent_id})
    if deletion is None or deletion.segment_id is None:
        return
    rejected = Path.load(db, deletion.segment_id).leaf
    if rejected.text != follower.text:
        deletion.correction_id = pair(
            db, draft=draft, chosen=follower, rejected=rejected, kind=Kind.DELETE
        )
