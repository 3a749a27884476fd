"""Project lists for admins and trainers, and the accounts that can be added as members."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from app.models import Correction, Draft, Membership, Project, Role, Sample, User
from app.models.live import is_live_pair
from app.projects.views import ProjectCard, Share


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
    samples, pairs, members = shares(db, ids), _pairs(db, ids), _members(db, ids)
    return tuple(
        ProjectCard(
            id=project.id,
            name=project.name,
            title=project.title,
            samples=samples.get(project.id, Share(0, 0, 0)),
            pairs=pairs.get(project.id, 0),
            members=members.get(project.id, 0),
            archived_at=project.archived_at,
        )
        for project in projects
    )


def candidates(db: Session, *, project_id: int) -> Sequence[tuple[str, str, Role]]:
    """Who may be added as a member: name, display name, role.

    Admins see every project without it; as members they find its samples in their own queue.
    """
    member = exists().where(Membership.user_id == User.id, Membership.project_id == project_id)
    rows = db.execute(
        select(User.name, User.display_name, User.role)
        .where(User.disabled_at.is_(None), ~member)
        .order_by(User.display_name, User.name)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def shares(db: Session, ids: Sequence[int]) -> dict[int, Share]:
    """Samples by project: done when enough annotators have finished, in progress when begun.

    Totals come from an index alone; only finished drafts are looked at.
    """
    finished = (
        select(Sample.project_id, func.count().label("drafts"))
        .join(Draft, Draft.sample_id == Sample.id)
        .where(Sample.project_id.in_(ids), Draft.finished_at.is_not(None))
        .group_by(Sample.id)
        .subquery()
    )
    done = (
        select(Project.id, func.count().label("samples"))
        .join(finished, finished.c.project_id == Project.id)
        .where(finished.c.drafts >= Project.annotators_per_sample)
        .group_by(Project.id)
        .subquery()
    )
    totals = (
        select(
            Sample.project_id,
            func.count().label("all"),
            func.count().filter(Sample.taken > 0).label("begun"),
        )
        .where(Sample.project_id.in_(ids))
        .group_by(Sample.project_id)
        .subquery()
    )
    rows = db.execute(
        select(
            totals.c.project_id,
            totals.c.all,
            totals.c.begun,
            func.coalesce(done.c.samples, 0),
        ).outerjoin(done, done.c.id == totals.c.project_id)
    )
    return {row[0]: Share(total=row[1], in_progress=row[2] - row[3], done=row[3]) for row in rows}


def _of_member(member_id: int | None) -> Sequence[ColumnElement[bool]]:
    if member_id is None:
        return ()
    return (exists().where(Membership.project_id == Project.id, Membership.user_id == member_id),)


def _pairs(db: Session, ids: Sequence[int]) -> dict[int, int]:
    rows = db.execute(
        select(Sample.project_id, func.count())
        .select_from(Correction)
        .join(Sample, Sample.id == Correction.sample_id)
        .where(Sample.project_id.in_(ids), is_live_pair())
        .group_by(Sample.project_id)
    )
    return {row[0]: row[1] for row in rows}


def _members(db: Session, ids: Sequence[int]) -> dict[int, int]:
    rows = db.execute(
        select(Membership.project_id, func.count())
        .where(Membership.project_id.in_(ids))
        .group_by(Membership.project_id)
    )
    return {row[0]: row[1] for row in rows}
