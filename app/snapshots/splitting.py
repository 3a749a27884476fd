"""Assigns the pairs of a selection to splits."""

from array import array
from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.splits import Division, Split, SplitPlan, divide
from app.exports.selection import Selection

# All samples of the project, also those without pairs: a sample keeps its split whatever the
# filter leaves of the others, and what links two samples need not be in the snapshot itself.
_SHARED = text(
    """
    SELECT array_agg(DISTINCT sample.source_id)
    FROM sample_images AS shown JOIN samples AS sample ON sample.id = shown.sample_id
    WHERE sample.project_id = :project
    GROUP BY shown.sha256 HAVING count(DISTINCT sample.id) > 1
    """
)
_SAMPLES = {
    table: text(
        f"""
        SELECT held.id, sample.source_id
        FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS asked (id, place)
        JOIN {table} held ON held.id = asked.id
        JOIN samples sample ON sample.id = held.sample_id
        ORDER BY asked.place
        """  # noqa: S608 - one of two names
    )
    for table in ("corrections", "drafts")
}
_BATCH = 10_000


def divide_project(db: Session, plan: SplitPlan, *, project_id: int) -> Division:
    """Assign each sample of a project to a split, by a plan."""
    if not (plan.divides and plan.separate_images):
        return divide(plan)
    shared = db.execute(_SHARED, {"project": project_id}).scalars()
    return divide(plan, shared)


def divide_selection(
    db: Session, selection: Selection, division: Division, *, held_in: str = "corrections"
) -> Mapping[Split, Selection]:
    """The selection's ids by split, in the selection's order; every split is present.

    held_in: the table that the selection's ids belong to.
    """
    parts = {split: (array("q"), array("q")) for split in Split}
    for at, ids in enumerate((selection.ids, selection.taken_back)):
        for start in range(0, len(ids), _BATCH):
            rows = db.execute(_SAMPLES[held_in], {"ids": list(ids[start : start + _BATCH])})
            for number, sample in rows:
                parts[division.split_of(sample)][at].append(number)
    return {split: Selection(*both) for split, both in parts.items()}
