"""The queue of a user: projects with counts, own drafts, samples to begin.

Counts are aggregates over index-only scans, lists are keyset pages; nothing asks per row.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    and_,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session, aliased

from app.models import (
    Draft,
    Membership,
    Project,
    Regeneration,
    Sample,
    SampleImage,
)
from app.models.progress import draft_progress
from app.projects.views import DraftItem, OpenItem, Page, ProjectCard, Share
from app.refusals import Invalid

PAGE = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def my_projects(db: Session, *, user_id: int) -> tuple[ProjectCard, ...]:
    """Projects the user is a member of, archived ones left out, with the user's own counts.

    open: samples that wait for this user; what others have taken is left out of the total.
    """
    projects = db.execute(
        select(Project.id, Project.name, Project.title, Project.guidelines)
        .where(_mine(user_id))
        .order_by(Project.title, Project.id)
    ).all()
    ids = [project.id for project in projects]
    free, begun = _free(db, ids), _begun(db, user_id, ids)
    return tuple(
        ProjectCard(
            id=project.id,
            name=project.name,
            title=project.title,
            guidelines=project.guidelines,
            samples=Share(
                total=free.get(project.id, 0) - still_free + in_progress + done,
                in_progress=in_progress,
                done=done,
            ),
        )
        for project in projects
        for in_progress, done, still_free in [begun.get(project.id, (0, 0, 0))]
    )


def my_drafts(
    db: Session,
    *,
    user_id: int,
    finished: bool,
    project_id: int | None = None,
    after: str | None = None,
) -> Page[DraftItem]:
    """Own drafts, the latest first: in progress, or finished. Raises Invalid for a bad cursor."""
    at = Draft.finished_at if finished else Draft.updated_at
    found = (
        select(Draft.id, at.label("at"))
        .join(Sample, Sample.id == Draft.sample_id)
        .join(Project, Project.id == Sample.project_id)
        .where(
            Draft.user_id == user_id,
            Draft.finished_at.is_not(None) if finished else Draft.finished_at.is_(None),
            _mine(user_id),
            *_within(project_id),
        )
        .order_by(at.desc(), Draft.id.desc())
        .limit(PAGE + 1)
    )
    if after:
        moment, draft_id = _moment(after)
        found = found.where(tuple_(at, Draft.id) < tuple_(literal(moment), literal(draft_id)))
    rows = db.execute(found).all()
    items = _draft_items(db, [row.id for row in rows[:PAGE]])
    if len(rows) <= PAGE:
        return Page(items, None)
    last = rows[PAGE - 1]
    return Page(items, f"{(last.at - _EPOCH) // timedelta(microseconds=1)}-{last.id}")


def open_samples(
    db: Session, *, user_id: int, project_id: int | None = None, after: str | None = None
) -> Page[OpenItem]:
    """Samples that wait for this user, the oldest first. Raises Invalid for a bad cursor."""
    begun = exists().where(Draft.sample_id == Sample.id, Draft.user_id == user_id)
    rows = db.execute(
        select(
            Sample.id,
            Sample.title,
            Sample.source_id,
            Sample.language,
            Project.title,
            _image_count(),
            Sample.target_words,
        )
        .join(Project, Project.id == Sample.project_id)
        .where(
            _mine(user_id),
            *_within(project_id),
            _is_free(),
            Sample.id > (_number(after) if after else 0),
            Sample.head_id.is_not(None),
            # A sample that nobody has taken needs no look at the drafts.
            or_(Sample.taken == 0, ~begun),
        )
        .order_by(Sample.id)
        .limit(PAGE + 1)
    ).all()
    items = tuple(OpenItem(*row) for row in rows[:PAGE])
    return Page(items, str(items[-1].sample_id) if len(rows) > PAGE else None)


def _is_free() -> ColumnElement[bool]:
    return Sample.taken < Project.annotators_per_sample


def _free(db: Session, ids: Sequence[int]) -> dict[int, int]:
    """By project, the samples that somebody may still take; from an index alone."""
    rows = db.execute(
        select(Sample.project_id, func.count())
        .join(Project, Project.id == Sample.project_id)
        .where(Sample.project_id.in_(ids), _is_free())
        .group_by(Sample.project_id)
    )
    return {row[0]: row[1] for row in rows}


def _begun(db: Session, user_id: int, ids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """By project, the user's drafts: in progress, done, and those that others may still join."""
    rows = db.execute(
        select(
            Sample.project_id,
            func.count().filter(Draft.finished_at.is_(None)),
            func.count(Draft.finished_at),
            func.count().filter(_is_free()),
        )
        .select_from(Draft)
        .join(Sample, Sample.id == Draft.sample_id)
        .join(Project, Project.id == Sample.project_id)
        .where(Draft.user_id == user_id, Project.id.in_(ids))
        .group_by(Sample.project_id)
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def _draft_items(db: Session, ids: Sequence[int]) -> tuple[DraftItem, ...]:
    """The drafts in the order of `ids`, with how far each current path is reviewed."""
    run = aliased(Regeneration)
    progress = draft_progress(ids)
    rows = db.execute(
        select(
            Draft.id,
            Draft.sample_id,
            Sample.title,
            Sample.source_id,
            Sample.language,
            Project.title,
            _image_count(),
            progress.c.reviewed,
            progress.c.segments,
            progress.c.expected,
            run.state,
            Draft.updated_at,
            Draft.finished_at,
        )
        .join(Sample, Sample.id == Draft.sample_id)
        .join(Project, Project.id == Sample.project_id)
        .join(progress, progress.c.draft_id == Draft.id)
        .outerjoin(run, run.id == Draft.regeneration_id)
        .where(Draft.id.in_(ids))
    )
    found = {row[0]: DraftItem(*row) for row in rows}
    return tuple(found[draft_id] for draft_id in ids)


def _mine(user_id: int) -> ColumnElement[bool]:
    member = exists().where(Membership.project_id == Project.id, Membership.user_id == user_id)
    return and_(Project.archived_at.is_(None), member)


def _within(project_id: int | None) -> Sequence[ColumnElement[bool]]:
    return () if project_id is None else (Sample.project_id == project_id,)


def _moment(after: str) -> tuple[datetime, int]:
    at, _, draft_id = after.partition("-")
    try:
        return _EPOCH + timedelta(microseconds=_number(at)), _number(draft_id)
    except OverflowError:
        raise Invalid("This page of the list does not exist.", field="after") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Invalid("This page of the list does not exist.", field="after")
    return int(text)


def _image_count() -> ColumnElement[int]:
    return (
        select(func.count())
        .select_from(SampleImage)
        .where(SampleImage.sample_id == Sample.id)
        .correlate(Sample)
        .scalar_subquery()
    )
