"""May this user touch this object? Every route that names an object by id asks here first.

Admins see everything, members their projects, an annotator the own drafts. Whatever a user may
not see does not exist: NotFound, never Forbidden.
"""

from typing import TypeVar

from sqlalchemy import ColumnElement, exists, select, true
from sqlalchemy.orm import Session

from app.models import Draft, Image, Membership, Project, Role, Sample, SampleImage
from app.refusals import Forbidden, NotFound
from app.security import Actor

T = TypeVar("T")

_LARGEST_ID = 2**63 - 1


def visible_projects(actor: Actor) -> ColumnElement[bool]:
    """The condition on Project for lists: those that the actor may see."""
    if actor.is_admin:
        return true()
    return exists().where(Membership.project_id == Project.id, Membership.user_id == actor.id)


def project_of(db: Session, actor: Actor, project_id: int) -> Project:
    """The project, if the actor is a member or an admin. Raises NotFound."""
    return _found(
        db.scalar(select(Project).where(Project.id == _id(project_id), visible_projects(actor))),
        "There is no such project, or you are not a member of it.",
    )


def project_named(db: Session, actor: Actor, name: str) -> Project:
    """The project of that name, if the actor is a member or an admin. Raises NotFound."""
    known = None
    if "\0" not in name:
        known = db.scalar(select(Project).where(Project.name == name, visible_projects(actor)))
    return _found(known, "There is no project of that name, or you are not a member of it.")


def sample_of(db: Session, actor: Actor, sample_id: int, *, annotate: bool = False) -> Sample:
    """The sample, if its project is visible to the actor. Raises NotFound.

    annotate: to work on it, which trainers do not: Forbidden for them.
    """
    sample = _found(
        db.scalar(
            select(Sample)
            .join(Project, Project.id == Sample.project_id)
            .where(Sample.id == _id(sample_id), visible_projects(actor))
        ),
        "There is no such sample, or you are not a member of its project.",
    )
    if annotate and actor.role is Role.TRAINER:
        raise Forbidden("Trainers pull pairs; annotators and admins correct texts.")
    return sample


def draft_of(db: Session, actor: Actor, draft_id: int, *, write: bool) -> Draft:
    """The draft, for its annotator (while a member of the project) or an admin.

    write: locks the row until the transaction ends, and is for its annotator alone.
    Raises NotFound; Forbidden for an admin who would write in another's draft.
    """
    query = (
        select(Draft)
        .join(Sample, Sample.id == Draft.sample_id)
        .join(Project, Project.id == Sample.project_id)
        .where(Draft.id == _id(draft_id), visible_projects(actor))
    )
    if not actor.is_admin:
        query = query.where(Draft.user_id == actor.id)
    if write:
        query = query.with_for_update(of=Draft).execution_options(populate_existing=True)
    draft = _found(db.scalar(query), "There is no such draft, or it is not yours.")
    if write and draft.user_id != actor.id:
        raise Forbidden("This draft is another annotator's: you can read it, not change it.")
    return draft


def image_of(db: Session, actor: Actor, sha256: str) -> Image:
    """The image, if a sample of a project visible to the actor shows it. Raises NotFound."""
    shown = exists().where(
        SampleImage.sha256 == Image.sha256,
        Sample.id == SampleImage.sample_id,
        Project.id == Sample.project_id,
        visible_projects(actor),
    )
    image = None
    if "\0" not in sha256:
        image = db.scalar(select(Image).where(Image.sha256 == sha256, shown))
    return _found(image, "There is no such image in your projects.")


def _id(value: int) -> int:
    # Ids are bigints: a larger number cannot be one, and PostgreSQL would answer with an error.
    if not 0 < value <= _LARGEST_ID:
        raise NotFound
    return value


def _found(thing: T | None, otherwise: str) -> T:
    if thing is None:
        raise NotFound(otherwise)
    return thing
