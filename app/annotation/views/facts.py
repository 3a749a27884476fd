"""Small queries that do not load the full path."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.annotation.edits.revision import draft_state
from app.annotation.views.segments import shown
from app.domain.corrections import Kind
from app.models import BEING_WRITTEN, Correction, Draft, Regeneration, SampleImage, Segment
from app.models.live import is_live_pair
from app.refusals import NotFound


def image_count(db: Session, *, draft: Draft) -> int:
    """How many images the draft's sample shows."""
    count = select(func.count()).where(SampleImage.sample_id == draft.sample_id)
    return db.scalars(count).one()


def is_writing(db: Session, *, draft: Draft) -> bool:
    """Whether the draft's current run is being written just now."""
    run = db.get(Regeneration, draft.regeneration_id) if draft.regeneration_id else None
    return run is not None and run.state in BEING_WRITTEN


def base_text(db: Session, *, draft: Draft, segment_id: int) -> str:
    """The model's text that a segment is compared with, as a textarea shows it.

    A segment that corrects nothing is compared with itself. Raises NotFound for a segment of
    another sample.
    """
    rejected = aliased(Segment)
    own_and_rejected = db.execute(
        select(Segment.text, rejected.text)
        .outerjoin(
            Correction,
            (Correction.chosen_id == Segment.id)
            & (Correction.draft_id == draft.id)
            & (Correction.kind == Kind.REWRITE)
            & is_live_pair(),
        )
        .outerjoin(rejected, rejected.id == Correction.rejected_id)
        .where(Segment.id == segment_id, Segment.sample_id == draft.sample_id)
        .limit(1)
    ).one_or_none()
    if own_and_rejected is None:
        raise NotFound("This sample has no such segment.")
    own, model = own_and_rejected
    return shown(own if model is None else model)


def present_segment(db: Session, *, draft: Draft, segment_id: int) -> int | None:
    """The segment of the path that stands where `segment_id` stood; None if there is none."""
    parent_id = db.scalar(select(Segment.parent_id).where(Segment.id == segment_id))
    steps = draft_state(db, draft).path.segments
    return next((step.id for step in steps if step.parent_id == parent_id), None)
