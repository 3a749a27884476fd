"""Pairs for people: a page of the newest, one pair whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.domain.corrections import Kind
from app.domain.diffs import Change, diff
from app.domain.formats import Pair
from app.domain.words import words
from app.models import Correction
from app.pairs.queries import pair_maker, pair_rows
from app.refusals import NotFound

PAGE = 20
# As much of the prefix as a list shows; the rest is a click away.
TAIL = 600
# A list of long rewrites must not take seconds: what is not compared by then counts as rewritten.
_DIFF_BUDGET_S = 0.1


@dataclass(frozen=True, slots=True)
class PairView:
    """A pair with its changes from rejected to chosen. number: of the segment, from 1.

    before: the end of the prefix in a list, all of it on the pair's own page.
    """

    id: int
    sample_id: int
    sample_title: str
    source_id: str
    language: str
    number: int
    kind: str
    on_policy: bool
    ends_output: bool
    annotator: str
    policy: str | None
    created_at: datetime
    draft_id: int
    images: tuple[str, ...]
    instruction: str
    before: str
    before_words: int
    before_is_cut: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class PairPage:
    """Pairs, the newest first. older: the cursor of the page that follows, None on the last."""

    pairs: tuple[PairView, ...]
    older: int | None


def newest_pairs(
    db: Session, *, project_id: int, before: int | None = None, kind: Kind | None = None
) -> PairPage:
    """The newest pairs, or the newest of those older than a cursor; kind: only such ones."""
    statement = pair_rows(Correction.id, project_id).order_by(Correction.id.desc())
    if kind is not None:
        statement = statement.where(Correction.kind == kind)
    if before is not None:
        statement = statement.where(Correction.id < before)
    rows = db.execute(statement.limit(PAGE + 1)).all()
    views = _views(db, rows[:PAGE], tail=TAIL)
    return PairPage(views, views[-1].id if len(rows) > PAGE else None)


def one_pair(db: Session, *, project_id: int, pair_id: int) -> PairView:
    """A pair with its whole prefix. Raises NotFound, also for a correction that is none now."""
    rows = db.execute(pair_rows(Correction.id, project_id).where(Correction.id == pair_id)).all()
    if not rows:
        raise NotFound("There is no such pair, or its annotator has taken it back.")
    return _views(db, rows, tail=None)[0]


def _views(db: Session, rows: Sequence[Row[Any]], tail: int | None) -> tuple[PairView, ...]:
    pair_of = pair_maker(db, rows)
    return tuple(_view(row, pair_of(row), tail) for row in rows)


def _view(row: Row[Any], pair: Pair, tail: int | None) -> PairView:
    before = pair.prefix if tail is None else pair.prefix[-tail:]
    return PairView(
        id=pair.pair_id,
        sample_id=row.sample_id,
        sample_title=row.sample_title,
        source_id=pair.sample,
        language=row.language,
        number=pair.position + 1,
        kind=pair.kind,
        on_policy=pair.on_policy,
        ends_output=pair.ends_output,
        annotator=row.display_name,
        policy=pair.policy,
        created_at=pair.created_at,
        draft_id=row.draft_id,
        images=pair.images,
        instruction=pair.instruction,
        before=before,
        before_words=words(pair.prefix),
        before_is_cut=len(before) < len(pair.prefix),
        changes=tuple(diff(pair.rejected, pair.chosen, budget_s=_DIFF_BUDGET_S)),
    )
