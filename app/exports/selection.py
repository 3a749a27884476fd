"""Which pairs an export or a page of the feed holds, decided once, in one statement, at its start.

What was chosen stays chosen: the texts of a pair never change, so they are read later, batch by
batch, with no transaction held open between. An export is the pairs as they stood when it began.
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

    taken_back: those that would be among them, had nobody retracted them.
    """

    # In quotes: arrays take no type at run time before Python 3.12.
    ids: "array[int]"
    taken_back: "array[int]"

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, size: int) -> Iterator[Sequence[int]]:
        """The ids, so many at a time."""
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
    """The pairs that the filter asks for in these projects, sample by sample, the oldest first.

    One order for one state of the data: the same wish gives the same rows in the same places.
    """
    return Selection(
        _ids(db, selected(wanted, projects)), _ids(db, selected(wanted, projects, live=False))
    )


def select_drafts(
    db: Session, wanted: PairFilter, projects: Sequence[int], *, finished: bool
) -> Selection:
    """The drafts that the filter asks for in these projects, sample by sample, the oldest first;
    finished: no others. Which ones is decided here; their texts are those of when they are read."""
    return Selection(_ids(db, drafts(wanted, projects, finished=finished)), array("q"))


def count_pairs(
    db: Session, wanted: PairFilter, projects: Sequence[int], *, at_most: int | None = None
) -> int:
    """How many pairs the filter asks for in these projects. at_most: it counts no further."""
    found = selected(wanted, projects).limit(at_most).subquery()
    return db.execute(select(func.count()).select_from(found)).scalar_one()


def _ids(db: Session, statement: Selected) -> "array[int]":
    # One array: it is read in a tenth of the time that as many rows take.
    found = statement.subquery()
    ids = func.array_agg(aggregate_order_by(found.c.id, found.c.sample_id, found.c.id))
    return array("q", db.scalar(select(ids)) or ())
