"""Create projects, change their settings and members."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import audit, regenerations
from app.database.notifications import RIGHTS, notify
from app.domain.messages import Message
from app.domain.segments import PROJECT_RULES, RuleKind
from app.domain.text import defect
from app.models import Membership, Project, User, now
from app.projects.generation import SHOWN, generation_settings
from app.refusals import Invalid, NotFound

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
AUTOMATIC = "auto"
"""In place of a rule: the first import chooses the one that fits its texts."""

_TITLE_MAX = 200
_GUIDELINES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What an admin decides about a project, as typed; see generation_settings for the last one.

    rule: one of PROJECT_RULES, or AUTOMATIC. rule_words counts for groups of sentences only.
    """

    title: str = ""
    guidelines: str = ""
    rule: str = AUTOMATIC
    rule_words: str = "120"
    annotators_per_sample: str = "1"
    generation: Mapping[str, str] = field(default_factory=dict)


def add(
    db: Session,
    *,
    name: str,
    settings: ProjectSettings | None = None,
    actor_id: int | None = None,
) -> Project:
    """A new project; without settings it has the defaults and its name as title.

    name: how addresses, exports and scripts call it; never changes. actor_id: the admin, None on
    the command line. Raises Invalid naming the field, also for a name that is taken.
    """
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise Invalid(
            "A name has 1 to 64 lowercase letters, digits, dots, dashes or underscores, and "
            "begins with a letter or digit.",
            "name",
        )
    project = Project(name=name)
    _apply(project, settings or ProjectSettings(title=name))
    try:
        with db.begin_nested():
            db.add(project)
    except IntegrityError as error:
        raise Invalid(
            Message("A project named %(name)s already exists.", name=name), "name"
        ) from error
    audit.record(db, actor_id, "added_project", f"project:{project.id}")
    return project


def change(
    db: Session, *, project: Project, settings: ProjectSettings, actor_id: int | None = None
) -> None:
    """Give the project these settings. Raises Invalid naming the field; then nothing is changed.

    A new rule cuts what is imported or written from now on; segments that are there stay.
    Generation settings that the page does not show are kept.
    """
    _apply(project, settings)
    db.flush()
    audit.record(db, actor_id, "changed_project", f"project:{project.id}")


def archive(db: Session, *, project: Project, actor_id: int | None = None) -> None:
    """Close the project: it leaves all queues, and its texts can be read, not changed.

    What is being written is stopped; its text so far stays. Nothing is deleted, pairs can be read,
    exported, frozen and retracted as before.
    """
    if project.archived_at is None:
        project.archived_at = now()
        # Waits for the changes under way (access.WHILE_OPEN): then none can begin a run any more.
        db.flush()
        regenerations.cancel_all(db, project_id=project.id)
        audit.record(db, actor_id, "archived_project", f"project:{project.id}")


def reopen(db: Session, *, project: Project, actor_id: int | None = None) -> None:
    """Take an archived project back into the queues; all drafts are as they were left."""
    if project.archived_at is not None:
        project.archived_at = None
        audit.record(db, actor_id, "reopened_project", f"project:{project.id}")


def add_member(db: Session, *, project: Project, name: str, actor_id: int | None = None) -> User:
    """Let a user work in the project, or pull its pairs. Adding a member again changes nothing.

    Raises Invalid (field "name") when there is no such account, or it is disabled.
    """
    user = db.scalar(select(User).where(func.lower(User.name) == name.strip().lower()))
    if user is None:
        raise Invalid(
            Message("There is no account named %(name)s. Add the person first.", name=name), "name"
        )
    if user.disabled_at is not None:
        raise Invalid(Message("The account %(name)s is disabled.", name=user.name), "name")
    statement = insert(Membership).values(project_id=project.id, user_id=user.id)
    added = db.scalar(statement.on_conflict_do_nothing().returning(Membership.user_id))
    if added is not None:
        audit.record(db, actor_id, "added_member", f"project:{project.id}", user=user.id)
    return user


def remove_member(
    db: Session, *, project: Project, user_id: int, actor_id: int | None = None
) -> None:
    """Remove a member; their work stays and counts. Raises NotFound if the user is not a member."""
    member = db.get(Membership, (project.id, user_id))
    if member is None:
        raise NotFound("This user is not a member of the project.")
    db.delete(member)
    notify(db, RIGHTS)
    audit.record(db, actor_id, "removed_member", f"project:{project.id}", user=user_id)


def _apply(project: Project, settings: ProjectSettings) -> None:
    # Everything is checked before anything is set: a refused form leaves the project as it was.
    title = _line(settings.title)
    guidelines = _guidelines(settings.guidelines)
    rule = _rule(settings.rule)
    words = _whole(settings.rule_words, 10, 2000, "rule_words")
    annotators = _whole(settings.annotators_per_sample, 1, 100, "annotators_per_sample")
    others = {name: value for name, value in _generation(project) if name not in SHOWN}
    generation = others | generation_settings(settings.generation)
    project.title = title
    project.guidelines = guidelines
    project.rule = rule
    project.rule_words = words
    project.annotators_per_sample = annotators
    project.generation = generation


def _generation(project: Project) -> Iterable[tuple[str, Any]]:
    # None until a new project has been written.
    return (project.generation or {}).items()


def _line(title: str) -> str:
    title = " ".join(title.split())
    if not title:
        raise Invalid("A project needs a title.", "title")
    if len(title) > _TITLE_MAX:
        raise Invalid(
            Message("A title can have at most %(most)s characters.", most=_TITLE_MAX), "title"
        )
    if problem := defect(title):
        raise Invalid(problem, "title")
    return title


def _guidelines(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > _GUIDELINES_MAX:
        raise Invalid(
            Message("Guidelines can have at most %(most)s characters.", most=_GUIDELINES_MAX),
            "guidelines",
        )
    if "\0" in text:
        raise Invalid("The text contains a NUL character, which cannot be stored.", "guidelines")
    return text


def _rule(value: str) -> RuleKind | None:
    if value == AUTOMATIC:
        return None
    if value not in PROJECT_RULES:
        raise Invalid("Choose one of the rules.", "rule")
    return RuleKind(value)


def _whole(text: str, least: int, most: int, name: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise Invalid(
            Message(
                "It must be a whole number from %(least)s to %(most)s.", least=least, most=most
            ),
            name,
        )
    return int(text)
