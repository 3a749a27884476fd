"""The feed of pairs: every pair gets a position when the feed first shows it.

A cursor over ids would skip pairs. PostgreSQL assigns an id before its transaction commits, so a
lower id may appear after a higher one has been read; and a correction can become a pair long after
it was made (a deletion counts once its follower is judged, an undo restores a replaced pair).
Positions are assigned by one reader at a time, in a transaction that commits before the pairs are
read, so later positions are always higher. A pair that stops counting loses its position, and gets
a new one at the end if it counts again.
"""

from array import array
from collections.abc import Sequence as Ids
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Sequence,
    Update,
    and_,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from app.domain.filters import PairFilter
from app.exports.filtering import selected
from app.models import Correction
from app.models.live import is_live_pair

# At most this many pairs get their position at once, so that the first bytes of a feed that nobody
# has read yet come in half a second. Remaining pairs are numbered by later requests.
AT_ONCE = 10_000
_LOCK = 0x1DF_FEED
_POSITIONS = Sequence("feed_positions")


@dataclass(frozen=True, slots=True)
class Window:
    """A range of the feed.

    ids: its pairs, by position.
    until: the last position in it (`after` itself when it is empty).
    more: further pairs follow, or may.
    digest: changes whenever the set of pairs changes.
    newest_at: None when it is empty.
    """

    # In quotes: arrays take no type at run time before Python 3.12.
    ids: "array[int]"
    until: int
    more: bool
    digest: str
    newest_at: datetime | None


def read_on(
    db: Session, wanted: PairFilter, projects: Ids[int], *, after: int, limit: int
) -> Window:
    """Bring the feed up to date and return the window after the cursor; see window.

    Commit before sending any of it. It may be shorter than the limit although more follows, but is
    never empty then.
    """
    while True:
        waiting = assign_positions(db, at_most=AT_ONCE) == AT_ONCE
        found = window(db, wanted, projects, after=after, limit=limit)
        if found.ids or not waiting:
            return replace(found, more=found.more or waiting)


def assign_positions(db: Session, *, at_most: int) -> int:
    """Append pairs that have no feed position yet, oldest first; returns how many.

    Fewer than `at_most` means that none are left. Commit before reading on. A correction that an
    annotator's transaction is changing right now is left for the next reader: nobody waits for
    another's save, and the two cannot deadlock.
    """
    free = select(Correction.id).where(Correction.feed_position.is_(None), is_live_pair())
    gone = select(Correction.id).where(_may_have_left(), ~is_live_pair())
    if not any(db.execute(select(free.exists(), gone.exists())).one()):
        return 0
    # One reader at a time; the statements below see what the one before has committed.
    db.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    left = gone.with_for_update(key_share=True, skip_locked=True).cte("gone")
    db.execute(_moving().where(Correction.id == left.c.id).values(feed_position=None))
    oldest = free.order_by(Correction.id).limit(at_most)
    new = oldest.with_for_update(key_share=True, skip_locked=True).cte("new")
    # A sequence, not max + 1: a position is never used twice.
    positions = select(new.c.id, _POSITIONS.next_value().label("position")).subquery("positions")
    result = db.execute(
        _moving().where(Correction.id == positions.c.id).values(feed_position=positions.c.position)
    )
    return cast(CursorResult[tuple[()]], result).rowcount


def window(
    db: Session, wanted: PairFilter, projects: Ids[int], *, after: int, limit: int
) -> Window:
    """The next `limit` pairs after the cursor that the filter selects."""
    found = selected(wanted, projects).subquery()
    rows = db.execute(
        select(found.c.feed_position, found.c.id, found.c.created_at)
        .where(found.c.feed_position > after)
        .order_by(found.c.feed_position)
        .limit(limit + 1)
    ).all()
    more, rows = len(rows) > limit, rows[:limit]
    positions = array("q", [row[0] for row in rows])
    return Window(
        ids=array("q", [row[1] for row in rows]),
        until=positions[-1] if positions else after,
        more=more,
        digest=sha256(positions.tobytes()).hexdigest()[:32],
        newest_at=max((row[2] for row in rows), default=None),
    )


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
            Correction.rested_at.is_not(None),
        ),
    )
