"""How far drafts are reviewed, in one query for many of them."""

from collections.abc import Collection

from sqlalchemy import Subquery, and_, case, func, select
from sqlalchemy.orm import aliased

from app.models.samples import Segment
from app.models.work import UNFINISHED, Draft, DraftVerdict, Regeneration


def draft_progress(draft_ids: Collection[int]) -> Subquery:
    """Rows (draft_id, segments, reviewed, expected): segments of the current path, those with a
    verdict, about how many there will be.

    The leaf is that of the draft's regeneration if it has one, else its head. A path of one
    segment only, the root, counts none. While text is still to come, written or waited for, at
    least one segment more is expected, and as many as the text had that the regeneration displaces.
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
    live, displaced = aliased(Regeneration), aliased(Segment)
    unfinished = and_(live.id == Draft.regeneration_id, live.state.in_(UNFINISHED))
    segments = func.count(walk.c.parent_id)
    judged = and_(DraftVerdict.draft_id == walk.c.draft_id, DraftVerdict.segment_id == walk.c.id)
    return (
        select(
            walk.c.draft_id,
            segments.label("segments"),
            func.count(DraftVerdict.segment_id).label("reviewed"),
            case(
                (live.id.is_(None), segments),
                else_=func.greatest(segments + 1, displaced.depth),
            ).label("expected"),
        )
        .join(Draft, Draft.id == walk.c.draft_id)
        .outerjoin(live, unfinished)
        .outerjoin(displaced, displaced.id == live.displaced_id)
        .outerjoin(DraftVerdict, judged)
        .group_by(walk.c.draft_id, live.id, displaced.depth)
        .subquery()
    )
