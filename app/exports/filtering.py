"""Translates filters to SQL conditions on corrections; the only place that does."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    exists,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from app.domain.filters import PairFilter
from app.models import Correction, Draft, Policy, Sample, Segment, User
from app.models.live import Corrections, is_live_pair

# (id, sample_id, feed_position, created_at) of corrections.
Selected = Select[*tuple[Any, ...]]


def any_of(values: Sequence[int]) -> ColumnElement[Any]:
    """Match any of the values, as one array: 256 parameters cost more to write than to look up."""
    return any_(literal(sorted(values), ARRAY(BigInteger)))


def meets(wanted: PairFilter, of: Corrections = Correction) -> ColumnElement[bool]:
    """The condition that a correction meets every filter that concerns it alone.

    For statements over corrections (`of`) joined with their samples. Projects are not included:
    access checks decide them before, and the statement names their ids.
    """
    conditions: list[ColumnElement[bool]] = []
    if wanted.kind:
        conditions.append(of.kind.in_(wanted.kind))
    if wanted.on_policy is not None:
        conditions.append(of.on_policy.is_(wanted.on_policy))
    if wanted.since is not None:
        conditions.append(of.created_at >= _start(wanted.since))
    # Nothing is made after the last day that there is, and no day follows it.
    if wanted.until is not None and wanted.until < date.max:
        conditions.append(of.created_at < _start(wanted.until + timedelta(days=1)))
    if wanted.min_edit is not None:
        conditions.append(of.edited >= wanted.min_edit)
    if wanted.max_edit is not None:
        conditions.append(of.edited <= wanted.max_edit)
    if wanted.annotator:
        names = select(User.id).where(User.name.in_(wanted.annotator))
        conditions.append(of.annotator_id.in_(names))
    if wanted.reviewed is not None:
        finished = exists().where(Draft.id == of.draft_id, Draft.finished_at.is_not(None))
        conditions.append(finished if wanted.reviewed else ~finished)
    if wanted.policy or wanted.round:
        conditions.append(of.policy_id.in_(policies(wanted, Policy.id)))
    if position := _position(wanted):
        conditions.append(exists().where(Segment.id == of.rejected_id, *position))
    conditions += _sample(wanted)
    return and_(True, *conditions)


def selected(wanted: PairFilter, project_ids: Sequence[int], *, live: bool = True) -> Selected:
    """The pairs that the filter selects, as an unordered statement.

    Columns: id, sample_id, feed_position, created_at. live: pairs that count; otherwise those that
    were retracted or rest, and would match.
    """
    condition = is_live_pair() if live else taken_back()
    every: Selected = (
        select(
            Correction.id,
            Correction.sample_id,
            Correction.feed_position,
            Correction.created_at,
        )
        .join(Sample, Sample.id == Correction.sample_id)
        .where(Sample.project_id == any_of(project_ids), condition, meets(wanted))
    )
    if wanted.newest_only:
        # No window: a page of the newest is then read from the newest on, not from all of them.
        newer = aliased(Correction)
        every = every.where(
            ~exists().where(
                newer.rejected_id == Correction.rejected_id,
                newer.kind == Correction.kind,
                newer.id > Correction.id,
                is_live_pair(newer) if live else taken_back(newer),
                meets(wanted, newer),
            )
        )
    if wanted.limit_per_sample is not None:
        inner = every.subquery()
        place = func.row_number().over(partition_by=inner.c.sample_id, order_by=inner.c.id.desc())
        ranked = select(*_columns(inner), place.label("place")).subquery()
        every = select(*_columns(ranked)).where(ranked.c.place <= wanted.limit_per_sample)
    return every


def drafts(
    wanted: PairFilter, project_ids: Sequence[int], *, finished: bool
) -> Select[*tuple[Any, ...]]:
    """The drafts that the filter selects, as an unordered statement over (id, sample_id).

    finished: only finished drafts. Filters on a single segment are not among the conditions.
    """
    conditions: list[ColumnElement[bool]] = [Sample.project_id == any_of(project_ids)]
    if finished:
        conditions.append(Draft.finished_at.is_not(None))
    if wanted.reviewed is not None:
        done = Draft.finished_at.is_not(None)
        conditions.append(done if wanted.reviewed else ~done)
    if wanted.annotator:
        names = select(User.id).where(User.name.in_(wanted.annotator))
        conditions.append(Draft.user_id.in_(names))
    if finished and wanted.since is not None:
        conditions.append(Draft.finished_at >= _start(wanted.since))
    if finished and wanted.until is not None and wanted.until < date.max:
        conditions.append(Draft.finished_at < _start(wanted.until + timedelta(days=1)))
    conditions += _sample(wanted)
    return (
        select(Draft.id, Draft.sample_id)
        .join(Sample, Sample.id == Draft.sample_id)
        .where(*conditions)
    )


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _sample(wanted: PairFilter) -> list[ColumnElement[bool]]:
    """The conditions on the sample."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.language:
        conditions.append(func.lower(Sample.language).in_(wanted.language))
    if wanted.tag:
        tags = Sample.extra["tags"]
        conditions.append(tags.op("?|")(literal(list(wanted.tag), ARRAY(Text))))
    return conditions


def taken_back(of: Corrections = Correction) -> ColumnElement[bool]:
    """The condition that an admin retracted the pair, or that its text is not in the draft."""
    away = or_(of.retracted_at.is_not(None), of.rested_at.is_not(None))
    return and_(away, of.superseded_by.is_(None))


def _columns(table: Any) -> list[ColumnElement[Any]]:
    return [table.c.id, table.c.sample_id, table.c.feed_position, table.c.created_at]


def _position(wanted: PairFilter) -> list[ColumnElement[bool]]:
    """The condition on the position of the rejected segment."""
    conditions: list[ColumnElement[bool]] = []
    # The first segment has depth 1, below the root.
    if wanted.min_position is not None:
        conditions.append(Segment.depth > wanted.min_position)
    if wanted.max_position is not None:
        conditions.append(Segment.depth <= wanted.max_position + 1)
    return conditions


def policies(wanted: PairFilter, column: Any) -> Select[Any]:
    """A column of the policies that the filter names."""
    found = select(column)
    if wanted.policy:
        found = found.where(Policy.name.in_(wanted.policy))
    if wanted.round:
        found = found.where(Policy.round.in_(wanted.round))
    return found
