"""Views of pairs: a page of the newest, those that a check has found, one pair whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.domain.diffs import Change, diff
from app.domain.filters import PairFilter
from app.domain.quality import Check, Gate, Inspection
from app.domain.words import words
from app.exports.gate import inspect
from app.exports.reader import Found, read_batch
from app.pairs.queries import PairFacts, newest_ids, pair_facts
from app.refusals import NotFound

PAGE = 20
# A page counts up to this many pairs before it is shown; it requests the full count afterwards.
COUNTED = 10_000
# As much of the prefix as a list shows; the rest is a click away.
TAIL = 600
# A list of long rewrites must not take seconds: what is not compared by then counts as rewritten.
_DIFF_BUDGET_S = 0.1


@dataclass(frozen=True, slots=True)
class PairView:
    """A pair with its changes from rejected to chosen.

    number: of the segment, from 1.
    before: the end of the prefix in a list, all of it on the pair's own page.
    edited: characters deleted and inserted.
    finding: the check of the gate that leaves it out, regardless of other pairs.
    retracted_at, reason: set when an admin retracted it.
    rested_at: since when the annotator's text does not contain it.
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
    before_is_cut: bool
    changes: tuple[Change, ...]
    edited: int
    finding: Check | None
    retracted_at: datetime | None
    reason: str
    rested_at: datetime | None

    @property
    def before_words(self) -> int:
        """Words in the shown prefix. Lists skip it: counting would take most of their time."""
        return words(self.before)


@dataclass(frozen=True, slots=True)
class PairPage:
    """Pairs, newest first. older: the cursor of the next page, None on the last."""

    pairs: tuple[PairView, ...]
    older: int | None


def newest_pairs(
    db: Session, wanted: PairFilter, *, project_id: int, before: int | None = None
) -> PairPage:
    """The newest pairs of the project that the filter selects, or those before a cursor."""
    ids = newest_ids(db, wanted, [project_id], before=before, limit=PAGE + 1)
    views = some_pairs(db, project_id=project_id, ids=ids[:PAGE])
    return PairPage(views, views[-1].id if len(ids) > PAGE else None)


def some_pairs(db: Session, *, project_id: int, ids: Sequence[int]) -> tuple[PairView, ...]:
    """The pairs with these ids, as a list shows them."""
    return _views(db, project_id, ids, tail=TAIL)


def one_pair(db: Session, *, project_id: int, pair_id: int) -> PairView:
    """A pair with its whole prefix, including a retracted one.

    Raises NotFound for a correction of another project and for one that a newer one has replaced.
    """
    views = _views(db, project_id, [pair_id], tail=None)
    if not views:
        raise NotFound("There is no such pair, or a newer pair has replaced it.")
    return views[0]


def _views(
    db: Session, project_id: int, ids: Sequence[int], tail: int | None
) -> tuple[PairView, ...]:
    facts = pair_facts(db, project_id=project_id, ids=ids)
    found = read_batch(db, [one for one in ids if one in facts])
    return tuple(_view(one, facts[one.pair_id], tail) for one in found)


def _view(found: Found, facts: PairFacts, tail: int | None) -> PairView:
    prefix = found.prefix.text
    before = prefix if tail is None else prefix[-tail:]
    changes = diff(found.rejected.text, found.chosen.text, budget_s=_DIFF_BUDGET_S)
    return PairView(
        id=found.pair_id,
        sample_id=found.sample.id,
        sample_title=facts.sample_title,
        source_id=found.sample.source_id,
        language=found.sample.setting.language,
        number=found.position + 1,
        kind=found.kind.value,
        on_policy=found.on_policy,
        ends_output=found.ends_output,
        annotator=facts.annotator,
        policy=found.policy,
        created_at=found.created_at,
        draft_id=facts.draft_id,
        images=found.sample.images,
        instruction=found.sample.instruction,
        before=before,
        before_is_cut=len(before) < len(prefix),
        changes=tuple(changes),
        edited=facts.edited,
        finding=inspect(found, Inspection(Gate())),
        retracted_at=facts.retracted_at,
        reason=facts.reason,
        rested_at=facts.rested_at,
    )
