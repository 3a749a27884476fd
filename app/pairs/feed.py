"""The feed of pairs: every pair gets a place when the feed first shows it.

A cursor over ids would skip pairs. PostgreSQL hands an id out before its transaction commits, so a
lower id may appear after a higher one has been read; and a correction can become a pair long after
it was made (a deletion counts once its follower is judged, an undo brings a replaced one back).
Places are handed out one reader at a time, in a transaction that commits before the pairs are
read: whatever is given a place later stands behind. What is a pair no more loses its place, and
gets a new one, at the end, if it comes back.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Sequence,
    Update,
    and_,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.domain.corrections import Kind
from app.models import Correction, Sample
from app.models.live import is_live_pair

_LOCK = 0x1DF_FEED
_PLACES = Sequence("feed_positions")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the feed. until: the last place in it (`after` itself when it is empty).

    digest: of what it holds; other pairs, another digest. newest_at: None when it is empty.
    """

    after: int
    until: int
    count: int
    more: bool
    digest: str
    newest_at: datetime | None


def give_places(db: Session) -> int:
    """Bring the feed up to date; returns how many pairs were appended. Commit before reading on.

    A correction that some annotator's transaction is changing right now is left for the next
    reader: nobody waits for anybody's save, and the two cannot deadlock.
    """
    free = select(Correction.id).where(Correction.feed_position.is_(None), is_live_pair())
    gone = select(Correction.id).where(_may_have_left(), ~is_live_pair())
    if not any(db.execute(select(free.exists(), gone.exists())).one()):
        return 0
    # One reader at a time; the statements below see what the one before has committed.
    db.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    left = gone.with_for_update(key_share=True, skip_locked=True).cte("gone")
    db.execute(_moving().where(Correction.id == left.c.id).values(feed_position=None))
    new = free.order_by(Correction.id).with_for_update(key_share=True, skip_locked=True).cte("new")
    # A sequence, not max + 1: a place that was given back is never given again.
    places = select(new.c.id, _PLACES.next_value().label("place")).subquery("places")
    result = db.execute(
        _moving().where(Correction.id == places.c.id).values(feed_position=places.c.place)
    )
    return cast(CursorResult[tuple[()]], result).rowcount


def window(db: Session, *, project_id: int, after: int, limit: int) -> Window:
    """What the next `limit` pairs of a project after the cursor are."""
    ahead = (
        select(Correction.feed_position, Correction.created_at)
        .join(Sample, Sample.id == Correction.sample_id)
        .where(Sample.project_id == project_id, Correction.feed_position > after, is_live_pair())
        .order_by(Correction.feed_position)
    )
    part = ahead.limit(limit).subquery()
    place = part.c.feed_position
    places = func.string_agg(func.concat(place), aggregate_order_by(literal_column("','"), place))
    row = db.execute(
        select(
            func.coalesce(func.max(place), after),
            func.count(),
            func.md5(func.coalesce(places, "")),
            func.max(part.c.created_at),
        )
    ).one()
    until, count, digest, newest_at = row
    more = count == limit and (
        db.execute(ahead.where(Correction.feed_position > until).limit(1)).first() is not None
    )
    return Window(after, until, count, more, digest, newest_at)


def _moving() -> Update:
    # The session holds no corrections here: there is nothing to synchronise.
    return update(Correction).execution_options(synchronize_session=False)


def _may_have_left() -> ColumnElement[bool]:
    """The condition of the index ix_corrections_in_feed."""
    return and_(
        Correction.feed_position.is_not(None),
        or_(
            Correction.retracted_at.is_not(None),
            Correction.superseded_by.is_not(None),
            Correction.kind == Kind.DELETE,
        ),
    )
