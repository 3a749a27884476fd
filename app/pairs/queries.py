"""Facts about pairs for the pages, and the pairs that a page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.domain.filters import PairFilter
from app.exports.filtering import any_of, selected, taken_back
from app.models import Correction, Sample, User
from app.models.live import is_live_pair


@dataclass(frozen=True, slots=True)
class PairFacts:
    """Facts about a correction. With retracted_at or rested_at it is not a pair now.

    edited: characters deleted and inserted.
    retracted_at, reason: set when an admin retracted it.
    rested_at: since when the annotator's text does not contain it.
    """

    sample_title: str
    draft_id: int
    annotator: str
    edited: int
    retracted_at: datetime | None
    reason: str
    rested_at: datetime | None


def newest_ids(
    db: Session, wanted: PairFilter, projects: Sequence[int], *, before: int | None, limit: int
) -> list[int]:
    """The ids of the newest pairs that the filter selects, or of the newest before a given one."""
    found = selected(wanted, projects).subquery()
    ids = select(found.c.id).order_by(found.c.id.desc()).limit(limit)
    return list(db.scalars(ids if before is None else ids.where(found.c.id < before)))


def pair_facts(db: Session, *, project_id: int, ids: Sequence[int]) -> Mapping[int, PairFacts]:
    """Facts about those corrections that are pairs of the project, or were until taken back."""
    rows = db.execute(
        select(
            Correction.id,
            Sample.title,
            Correction.draft_id,
            User.display_name,
            Correction.edited,
            Correction.retracted_at,
            Correction.retract_reason,
            Correction.rested_at,
        )
        .join(Sample, Sample.id == Correction.sample_id)
        .join(User, User.id == Correction.annotator_id)
        .where(
            Correction.id == any_of(ids),
            Sample.project_id == project_id,
            or_(is_live_pair(), taken_back()),
        )
    )
    return {row[0]: PairFacts(*row[1:6], row[6] or "", row[7]) for row in rows}
