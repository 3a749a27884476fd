"""The condition under which a correction is a preference pair."""

from sqlalchemy import ColumnElement, and_, exists, or_

from app.domain.corrections import Kind
from app.models.work import Correction, DraftVerdict


def is_live_pair() -> ColumnElement[bool]:
    """True for corrections that trainers get: neither taken back nor replaced by a newer one.

    A deletion prefers the segment that moved up over the deleted one, and nobody has read that
    segment in its new place until it has a verdict in the same draft: only then does it count.
    """
    judged = exists().where(
        DraftVerdict.draft_id == Correction.draft_id,
        DraftVerdict.segment_id == Correction.chosen_id,
    )
    return and_(
        Correction.retracted_at.is_(None),
        Correction.superseded_by.is_(None),
        or_(Correction.kind != Kind.DELETE, judged),
    )
