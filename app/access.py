"""Access checks: every route that names an object by id asks here first.

Admins see everything, members see their projects, annotators see only their own drafts. What a user
may not see does not exist for them: NotFound, never Forbidden.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TypeVar

from sqlalchemy import ColumnElement, Row, Select, bindparam, exists, select, true
from sqlalchemy.orm import Session

from app.domain.messages import Message
from app.models import Draft, Image, Membership, Project, Role, Sample, SampleImage
from app.refusals import Conflict, Forbidden, NotFound
from app.security import Actor

T = TypeVar("T")

_LARGEST_ID = 2**63 - 1
ARCHIVED = Message(
    "This project is archived. You can read its texts but not change them. What you typed is "
    "kept until an admin restores the project."
)
# Behind a statement that locks something of a project: an archival waits for the changes that
# are under way, and changes that come later wait for it and see it.
WHILE_OPEN = "FOR SHARE OF projects"


@dataclass(frozen=True, slots=True)
class Reading:
    """A draft as somebody reads it. own: it is the reader's. archived: its project is."""

    draft: Draft
    own: bool
    archived: bool

    @property
    def read_only(self) -> bool:
        """Nothing of it can be changed by the reader."""
        return not self.own or self.archived or self.draft.finished_at is not None


def visible_projects(actor: Actor) -> ColumnElement[bool]:
    """The condition on Project for lists: those that the actor may see."""
    if actor.is_admin:
        return true()
    return exists().where(Membership.project_id == Project.id, Membership.user_id == actor.id)


def project_of(db: Session, actor: Actor, project_id: int) -> Project:
    """The project, if the actor is a member or an admin. Raises NotFound."""
    return _found(
        db.scalar(_project(actor.is_admin), _of(actor, project_id)),
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
        db.scalar(_sample(actor.is_admin), _of(actor, sample_id)),
        "There is no such sample, or you are not a member of its project.",
    )
    if annotate and actor.role is Role.TRAINER:
        raise Forbidden("Trainers pull pairs; annotators and admins correct texts.")
    return sample


def draft_of(
    db: Session, actor: Actor, draft_id: int, *, write: bool, archived: bool = False
) -> Draft:
    """The draft, for its annotator (while a member of the project) or an admin.

    write: locks the row until the transaction ends, and is for its annotator alone.
    archived: allow writing in an archived project.

    Raises NotFound; Forbidden for an admin who would write in another's draft; Conflict for a write
    in an archived project.
    """
    draft, archived_at = _draft_row(db, actor, draft_id, write=write)
    if write and draft.user_id != actor.id:
        raise Forbidden(
            "This draft belongs to another annotator. You can read it but not change it."
        )
    if write and archived_at is not None and not archived:
        raise Conflict(ARCHIVED)
    return draft


def reading_of(db: Session, actor: Actor, draft_id: int) -> Reading:
    """The draft as draft_of gives it to be read, and whether there is more to do with it."""
    draft, archived_at = _draft_row(db, actor, draft_id, write=False)
    return Reading(draft, draft.user_id == actor.id, archived_at is not None)


def _draft_row(
    db: Session, actor: Actor, draft_id: int, *, write: bool
) -> Row[Draft, datetime | None]:
    row = db.execute(_draft(actor.is_admin, write), _of(actor, draft_id)).one_or_none()
    return _found(row, "There is no such draft, or it is not yours.")


def image_of(db: Session, actor: Actor, sha256: str) -> Image:
    """The image, if a sample of a project visible to the actor shows it. Raises NotFound."""
    image = None
    if "\0" not in sha256:
        image = db.scalar(_image(actor.is_admin), {"sha256": sha256, "actor_id": actor.id})
    return _found(image, "There is no such image in your projects.")


# The statements are built once for admins and once for everybody else: building one costs
# SQLAlchemy about as much as running it.


@cache
def _project(is_admin: bool) -> Select[Project]:
    return select(Project).where(Project.id == bindparam("id"), _visible(is_admin))


@cache
def _sample(is_admin: bool) -> Select[Sample]:
    return (
        select(Sample)
        .join(Project, Project.id == Sample.project_id)
        .where(Sample.id == bindparam("id"), _visible(is_admin))
    )


@cache
def _draft(is_admin: bool, write: bool) -> Select[Draft, datetime | None]:
    query = (
        select(Draft, Project.archived_at)
        .join(Sample, Sample.id == Draft.sample_id)
        .join(Project, Project.id == Sample.project_id)
        .where(Draft.id == bindparam("id"), _visible(is_admin))
    )
    if write:
        query = (
            query.with_for_update(of=Draft)
            .suffix_with(WHILE_OPEN)
            .execution_options(populate_existing=True)
        )
    return query if is_admin else query.where(Draft.user_id == bindparam("actor_id"))


@cache
def _image(is_admin: bool) -> Select[Image]:
    shown = exists().where(
        SampleImage.sha256 == Image.sha256,
        Sample.id == SampleImage.sample_id,
        Project.id == Sample.project_id,
        _visible(is_admin),
    )
    return select(Image).where(Image.sha256 == bindparam("sha256"), shown)


def _visible(is_admin: bool) -> ColumnElement[bool]:
    if is_admin:
        return true()
    return exists().where(
        Membership.project_id == Project.id, Membership.user_id == bindparam("actor_id")
    )


def _of(actor: Actor, number: int) -> dict[str, int]:
    # Ids are bigints: a larger number cannot be one, and PostgreSQL would answer with an error.
    if not 0 < number <= _LARGEST_ID:
        raise NotFound
    return {"id": number, "actor_id": actor.id}


def _found(thing: T | None, otherwise: str) -> T:
    if thing is None:
        raise NotFound(otherwise)
    return thing
