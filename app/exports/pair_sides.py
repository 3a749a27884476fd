"""The texts that counting pairs judge, so that no other export item contradicts them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased
from sqlalchemy.types import BigInteger

from app.models import Correction, Segment
from app.models.live import is_live_pair
from app.regenerations.texts import path_text


class Sides:
    """The sides of all pairs of some drafts. Two texts are equal if prefix and text are."""

    def __init__(self, db: Session, drafts: Sequence[int]) -> None:
        self._db = db
        chosen, rejected = aliased(Segment), aliased(Segment)
        rows = db.execute(
            select(
                Correction.draft_id,
                Correction.parent_id,
                Correction.chosen_id,
                Correction.rejected_id,
                chosen.text.label("chosen"),
                rejected.text.label("rejected"),
            )
            .join(chosen, chosen.id == Correction.chosen_id)
            .join(rejected, rejected.id == Correction.rejected_id)
            .where(
                Correction.draft_id == any_(literal([*drafts], ARRAY(BigInteger))), is_live_pair()
            )
        )
        self._pairs: defaultdict[int, list[Row[*tuple[Any, ...]]]] = defaultdict(list)
        for row in rows:
            self._pairs[row.draft_id].append(row)
        self._prefixes: dict[int, str] = {}

    def hold(self, draft_id: int, segment_id: int) -> bool:
        """Whether the segment is a side of a pair."""
        return any(segment_id in (row.chosen_id, row.rejected_id) for row in self._pairs[draft_id])

    def reject(self, draft_id: int, prefix: str, text: str) -> bool:
        """Whether a pair prefers another text over this one."""
        return any(
            row.rejected == text and self._prefix(row.parent_id) == prefix
            for row in self._pairs[draft_id]
        )

    def choose(self, draft_id: int, prefix: str, text: str) -> bool:
        """Whether a pair prefers this text over another."""
        return any(
            row.chosen == text and self._prefix(row.parent_id) == prefix
            for row in self._pairs[draft_id]
        )

    def _prefix(self, parent_id: int) -> str:
        if parent_id not in self._prefixes:
            self._prefixes[parent_id] = path_text(self._db, parent_id)
        return self._prefixes[parent_id]
