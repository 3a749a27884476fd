"""The condition under which a correction is a preference pair."""

from sqlalchemy import ColumnElement, and_, exists, or_
from sqlalchemy.orm.util import AliasedClass

from app.domain.corrections import Kind
from app.models.work import Correction, DraftVerdict

# Corrections, or an alias of them in a statement that compares them with each other.
Corrections = type[Correction] | AliasedClass[Correction]


def is_live_pair(of: Corrections = Correction) -> ColumnElement[bool]:
    """True for corrections that trainers get: neither taken back nor replaced by a newer one.

    A deletion prefers the segment that moved up over the deleted one, and nobody has read that
    segment in its new place until it has a verdict in the same draft: only then does it count.
    """
    judged = exists().where(
        DraftVerdict.draft_id == of.draft_id,
        DraftVerdict.segment_id == of.chosen_id,
    )
    return and_(
        of.retracted_at.is_(None),
        of.superseded_by.is_(None),
        or_(of.kind != Kind.DELETE, judged),
    )
