"""What admins can do to pairs: retract them."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.domain.messages import Message
from app.models import Correction, Draft, Sample, now
from app.models.live import is_live_pair
from app.refusals import Invalid, NotFound, Outdated

MAX_REASON = 500


def retract(db: Session, *, project_id: int, pair_id: int, reason: str, actor_id: int) -> None:
    """Take a pair back, for good: no export, page of the feed or snapshot made from now on has it.

    The annotator's text stays as it is. Raises NotFound for no pair of this project, Conflict when
    it has been taken back or replaced already, Invalid (field "reason") without a reason.
    """
    reason = " ".join(reason.split())
    if not 3 <= len(reason) <= MAX_REASON:
        raise Invalid(
            Message("Give a reason of 3 to %(most)s characters.", most=MAX_REASON), "reason"
        )
    draft_id = db.scalar(
        select(Correction.draft_id)
        .join(Sample, Sample.id == Correction.sample_id)
        .where(Correction.id == pair_id, Sample.project_id == project_id)
    )
    if draft_id is None:
        raise NotFound("There is no such pair.")
    # Who changes a draft's corrections holds its row: an undo at this moment is over or waits.
    db.execute(select(Draft.id).where(Draft.id == draft_id).with_for_update())
    pair = db.scalar(
        select(Correction)
        .where(Correction.id == pair_id, is_live_pair())
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if pair is None:
        raise Outdated("This pair has already been taken back or replaced.")
    pair.retracted_at, pair.retract_reason = now(), reason
    db.flush()
    audit.record(db, actor_id, "retracted", f"pair:{pair_id}", project=project_id)
