"""How far drafts are reviewed, in one query for many of them."""

from collections.abc import Collection

from sqlalchemy import Subquery, and_, func, select
from sqlalchemy.orm import aliased

from app.models.samples import Segment
from app.models.work import Draft, DraftVerdict, Regeneration


def draft_progress(draft_ids: Collection[int]) -> Subquery:
    """Rows (draft_id, segments, reviewed): segments of the current path, those with a verdict.

    The leaf is that of the draft's regeneration if it has one, else its head. A path of one
    segment only, the root, counts none.
    """
    run = aliased(Regeneration)
    walk = (
        select(Draft.id.label("draft_id"), Segment.id, Segment.parent_id)
        .outerjoin(run, run.id == Draft.regeneration_id)
        .join(Segment, Segment.id == func.coalesce(run.leaf_id, Draft.head_id))
        .where(Draft.id.in_(draft_ids))
        .cte("walk", recursive=True)
    )
    up = aliased(Segment)
    walk = walk.union_all(
        select(walk.c.draft_id, up.id, up.parent_id).join(walk, up.id == walk.c.parent_id)
    )
    judged = and_(DraftVerdict.draft_id == walk.c.draft_id, DraftVerdict.segment_id == walk.c.id)
    return (
        select(
            walk.c.draft_id,
            func.count(walk.c.parent_id).label("segments"),
            func.count(DraftVerdict.segment_id).label("reviewed"),
        )
        .outerjoin(DraftVerdict, judged)
        .group_by(walk.c.draft_id)
        .subquery()
    )
