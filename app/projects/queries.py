"""Projects for admins: the list with figures, a project's page, its members."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Subquery, and_, func, or_, select
from sqlalchemy.orm import Session

from app.models import Correction, Draft, Membership, Project, Role, Sample, User
from app.models.live import is_live_pair
from app.projects.views import DayCount, PersonView, ProjectCard, ProjectView, Share

DAYS = 30


def project_cards(
    db: Session, *, archived: bool = False, member_id: int | None = None
) -> tuple[ProjectCard, ...]:
    """Projects by title with their figures; member_id: only those that this user belongs to."""
    projects = db.scalars(
        select(Project)
        .where(
            Project.archived_at.is_not(None) if archived else Project.archived_at.is_(None),
            *_of_member(member_id),
        )
        .order_by(Project.title, Project.id)
    ).all()
    ids = [project.id for project in projects]
    shares, pairs, members = _shares(db, ids), _pairs(db, ids), _members(db, ids)
    return tuple(
        ProjectCard(
            id=project.id,
            name=project.name,
            title=project.title,
            samples=shares.get(project.id, Share(0, 0, 0)),
            pairs=pairs.get(project.id, (0, 0))[1],
            members=members.get(project.id, 0),
            archived_at=project.archived_at,
        )
        for project in projects
    )


def project_page(db: Session, *, project: Project, now: datetime) -> ProjectView:
    """A project with its figures, its people, and the corrections of the last 30 days."""
    corrections, pairs = _pairs(db, [project.id]).get(project.id, (0, 0))
    return ProjectView(
        id=project.id,
        name=project.name,
        title=project.title,
        guidelines=project.guidelines,
        archived_at=project.archived_at,
        annotators_per_sample=project.annotators_per_sample,
        samples=_shares(db, [project.id]).get(project.id, Share(0, 0, 0)),
        corrections=corrections,
        pairs=pairs,
        people=people(db, project_id=project.id),
        days=_days(db, project.id, now.date()),
    )


def people(db: Session, *, project_id: int) -> tuple[PersonView, ...]:
    """Members, and those who have worked here before; the most productive first."""
    drafts = _drafts_by_user(project_id)
    made = _corrections_by_user(project_id)
    member = Membership.user_id.is_not(None)
    corrections = func.coalesce(made.c.corrections, 0)
    rows = db.execute(
        select(
            User.id,
            User.name,
            User.display_name,
            User.role,
            member,
            User.disabled_at.is_not(None),
            func.coalesce(drafts.c.in_progress, 0),
            func.coalesce(drafts.c.done, 0),
            corrections,
            drafts.c.last_at,
        )
        .outerjoin(
            Membership,
            and_(Membership.user_id == User.id, Membership.project_id == project_id),
        )
        .outerjoin(drafts, drafts.c.user_id == User.id)
        .outerjoin(made, made.c.user_id == User.id)
        .where(or_(member, drafts.c.user_id.is_not(None)))
        .order_by(corrections.desc(), User.display_name, User.id)
    )
    return tuple(PersonView(*row) for row in rows)


def candidates(db: Session, *, project_id: int) -> Sequence[tuple[str, str, Role]]:
    """Who may be added as a member: name, display name, role.

    Admins see every project without it; as members they find its samples in their own queue.
    """
    member = select(Membership).where(
        Membership.user_id == User.id, Membership.project_id == project_id
    )
    rows = db.execute(
        select(User.name, User.display_name, User.role)
        .where(User.disabled_at.is_(None), ~member.exists())
        .order_by(User.display_name, User.name)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _of_member(member_id: int | None) -> Sequence[ColumnElement[bool]]:
    if member_id is None:
        return ()
    member = select(Membership).where(
        Membership.project_id == Project.id, Membership.user_id == member_id
    )
    return (member.exists(),)


def _shares(db: Session, ids: Sequence[int]) -> dict[int, Share]:
    """Samples by project: done when enough annotators have finished, in progress when begun."""
    begun = (
        select(
            Sample.project_id,
            func.count(Draft.finished_at).label("finished"),
        )
        .join(Draft, Draft.sample_id == Sample.id)
        .where(Sample.project_id.in_(ids))
        .group_by(Sample.id)
        .subquery()
    )
    done = begun.c.finished >= Project.annotators_per_sample
    counts = (
        select(
            Project.id,
            func.count().filter(~done).label("in_progress"),
            func.count().filter(done).label("done"),
        )
        .join(begun, begun.c.project_id == Project.id)
        .group_by(Project.id)
        .subquery()
    )
    totals = (
        select(Sample.project_id, func.count().label("total"))
        .where(Sample.project_id.in_(ids))
        .group_by(Sample.project_id)
        .subquery()
    )
    rows = db.execute(
        select(
            totals.c.project_id,
            totals.c.total,
            func.coalesce(counts.c.in_progress, 0),
            func.coalesce(counts.c.done, 0),
        ).outerjoin(counts, counts.c.id == totals.c.project_id)
    )
    return {row[0]: Share(row[1], row[2], row[3]) for row in rows}


def _pairs(db: Session, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """By project: corrections that were ever made, and those of them that are pairs now."""
    rows = db.execute(
        select(Sample.project_id, func.count(), func.count().filter(is_live_pair()))
        .select_from(Correction)
        .join(Sample, Sample.id == Correction.sample_id)
        .where(Sample.project_id.in_(ids))
        .group_by(Sample.project_id)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def _members(db: Session, ids: Sequence[int]) -> dict[int, int]:
    rows = db.execute(
        select(Membership.project_id, func.count())
        .where(Membership.project_id.in_(ids))
        .group_by(Membership.project_id)
    )
    return {row[0]: row[1] for row in rows}


def _drafts_by_user(project_id: int) -> Subquery:
    return (
        select(
            Draft.user_id,
            func.count().filter(Draft.finished_at.is_(None)).label("in_progress"),
            func.count(Draft.finished_at).label("done"),
            func.max(Draft.updated_at).label("last_at"),
        )
        .join(Sample, Sample.id == Draft.sample_id)
        .where(Sample.project_id == project_id)
        .group_by(Draft.user_id)
        .subquery()
    )


def _corrections_by_user(project_id: int) -> Subquery:
    return (
        select(Correction.annotator_id.label("user_id"), func.count().label("corrections"))
        .join(Sample, Sample.id == Correction.sample_id)
        .where(Sample.project_id == project_id, Correction.retracted_at.is_(None))
        .group_by(Correction.annotator_id)
        .subquery()
    )


def _days(db: Session, project_id: int, today: date) -> tuple[DayCount, ...]:
    """Corrections per day (UTC), taken-back ones left out; the last DAYS days, without gaps."""
    first = today - timedelta(days=DAYS - 1)
    day = func.date(func.timezone("UTC", Correction.created_at))
    rows = db.execute(
        select(day, func.count())
        .join(Sample, Sample.id == Correction.sample_id)
        .where(
            Sample.project_id == project_id,
            Correction.retracted_at.is_(None),
            day >= first,
        )
        .group_by(day)
    )
    counts = {row[0]: row[1] for row in rows}
    every = (first + timedelta(days=n) for n in range(DAYS))
    return tuple(DayCount(moment, counts.get(moment, 0)) for moment in every)
