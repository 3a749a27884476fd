"""The items of an export or feed page, selected in one statement at the start.

The selection is fixed once made: texts are immutable, so they are read later, batch by batch,
without an open transaction in between. An export contains the pairs as they were when it began.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.domain.filters import PairFilter
from app.exports.filtering import Selected, drafts, selected
from app.models import Project
from app.refusals import NotFound


@dataclass(frozen=True, slots=True)
class Selection:
    """The ids of pairs, or of drafts, in the order in which they are written, 8 bytes each.

    taken_back: how many more the filter would select if nobody had retracted them.
    """

    # In quotes: arrays take no type at run time before Python 3.12.
    ids: "array[int]"
    taken_back: "array[int]"

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, size: int) -> Iterator[Sequence[int]]:
        """The ids in batches of that size."""
        for start in range(0, len(self.ids), size):
            yield self.ids[start : start + size]


def project_ids(db: Session, wanted: PairFilter) -> list[int]:
    """The projects that the filter names, without asking who may see them (the command line).

    Raises NotFound for a name that no project has; [] when the filter names none.
    """
    rows = db.execute(select(Project.name, Project.id).where(Project.name.in_(wanted.project)))
    found = {row.name: row.id for row in rows}
    for name in wanted.project:
        if name not in found:
            raise NotFound(f"There is no project named {name}. Add it: iterdpo project add {name}")
    return sorted(found.values())


def select_pairs(db: Session, wanted: PairFilter, projects: Sequence[int]) -> Selection:
    """The pairs that the filter selects in these projects, by sample, oldest first.

    Equal data and an equal filter give the same rows in the same order.
    """
    return Selection(
        _ids(db, selected(wanted, projects)), _ids(db, selected(wanted, projects, live=False))
    )


def select_drafts(
    db: Session, wanted: PairFilter, projects: Sequence[int], *, finished: bool
) -> Selection:
    """The drafts that the filter selects in these projects, by sample, oldest first.

    finished: only finished drafts. The selection is fixed here; texts are current when they are
        read.
    """
    return Selection(_ids(db, drafts(wanted, projects, finished=finished)), array("q"))


def count_pairs(
    db: Session, wanted: PairFilter, projects: Sequence[int], *, at_most: int | None = None
) -> int:
    """How many pairs the filter selects in these projects. at_most: stop counting there."""
    found = selected(wanted, projects).limit(at_most).subquery()
    return db.execute(select(func.count()).select_from(found)).scalar_one()


def _ids(db: Session, statement: Selected) -> "array[int]":
    # One array: it is read in a tenth of the time that as many rows take.
    found = statement.subquery()
    ids = func.array_agg(aggregate_order_by(found.c.id, found.c.sample_id, found.c.id))
    return array("q", db.scalar(select(ids)) or ())
