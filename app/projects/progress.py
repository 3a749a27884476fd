"""How far a project is: its samples, its people, its corrections by day; three queries a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Subquery, and_, func, or_, select, tuple_
from sqlalchemy.orm import Session

from app.models import Correction, Draft, Membership, Project, Sample, User
from app.models.live import is_live_pair
from app.projects.queries import shares
from app.projects.views import DayCount, PersonView, ProjectView, Share

DAYS = 30


def project_page(db: Session, *, project: Project, now: datetime) -> ProjectView:
    """A project with its figures, its people, and the corrections of the last 30 days (UTC)."""
    made = _made(db, project.id)
    return ProjectView(
        id=project.id,
        name=project.name,
        title=project.title,
        guidelines=project.guidelines,
        archived_at=project.archived_at,
        annotators_per_sample=project.annotators_per_sample,
        samples=shares(db, [project.id]).get(project.id, Share(0, 0, 0)),
        corrections=made.corrections,
        pairs=made.pairs,
        people=_people(db, project.id, made),
        days=_last_days(made, now.date()),
    )


def people(db: Session, *, project_id: int) -> tuple[PersonView, ...]:
    """Members, and those who have worked here before; the most productive first."""
    return _people(db, project_id, _made(db, project_id))


@dataclass(frozen=True, slots=True)
class _Made:
    """Corrections ever made, and the pairs among them; those not taken back by user and by day."""

    corrections: int
    pairs: int
    by_user: Mapping[int, int]
    by_day: Mapping[date, int]


def _made(db: Session, project_id: int) -> _Made:
    """All figures about corrections from one pass over them."""
    day = func.date(func.timezone("UTC", Correction.created_at))
    kept = func.count().filter(Correction.retracted_at.is_(None), Correction.rested_at.is_(None))
    rows = db.execute(
        select(
            Correction.annotator_id,
            day,
            kept,
            func.count(),
            func.count().filter(is_live_pair()),
        )
        .join(Sample, Sample.id == Correction.sample_id)
        .where(Sample.project_id == project_id)
        .group_by(func.grouping_sets(tuple_(Correction.annotator_id), tuple_(day)))
    ).all()
    users = [row for row in rows if row[0] is not None]
    return _Made(
        corrections=sum(row[3] for row in users),
        pairs=sum(row[4] for row in users),
        by_user={row[0]: row[2] for row in users},
        by_day={row[1]: row[2] for row in rows if row[0] is None},
    )


def _people(db: Session, project_id: int, made: _Made) -> tuple[PersonView, ...]:
    drafts = _drafts_by_user(project_id)
    member = Membership.user_id.is_not(None)
    rows = db.execute(
        select(
            User.id,
            User.name,
            User.display_name,
            User.role,
            member.label("member"),
            User.disabled_at.is_not(None).label("disabled"),
            func.coalesce(drafts.c.in_progress, 0).label("in_progress"),
            func.coalesce(drafts.c.done, 0).label("done"),
            drafts.c.last_at,
        )
        .outerjoin(
            Membership,
            and_(Membership.user_id == User.id, Membership.project_id == project_id),
        )
        .outerjoin(drafts, drafts.c.user_id == User.id)
        .where(or_(member, drafts.c.user_id.is_not(None)))
        .order_by(User.display_name, User.id)
    )
    views = [
        PersonView(
            id=row.id,
            name=row.name,
            display_name=row.display_name,
            role=row.role,
            member=row.member,
            disabled=row.disabled,
            in_progress=row.in_progress,
            done=row.done,
            corrections=made.by_user.get(row.id, 0),
            last_at=row.last_at,
        )
        for row in rows
    ]
    return tuple(sorted(views, key=lambda person: -person.corrections))


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


def _last_days(made: _Made, today: date) -> tuple[DayCount, ...]:
    first = today - timedelta(days=DAYS - 1)
    every = (first + timedelta(days=n) for n in range(DAYS))
    return tuple(DayCount(day, made.by_day.get(day, 0)) for day in every)
