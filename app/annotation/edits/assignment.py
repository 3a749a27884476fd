"""Assign a sample to an annotator, finish it, reopen it, and find the next one."""

from sqlalchemy import exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.access import ARCHIVED, WHILE_OPEN
from app.annotation.edits.revision import begin
from app.database import notifications
from app.domain.messages import Message
from app.models import (
    UNFINISHED,
    Draft,
    Membership,
    Project,
    Regeneration,
    RunState,
    Sample,
    now,
)
from app.refusals import Conflict, NotFound, Outdated


def open_draft(db: Session, *, sample_id: int, user_id: int) -> Draft:
    """The user's draft of a sample; the first call creates it.

    Raises NotFound for an unknown sample, and Conflict when the sample has all its annotators or
    its
    project is archived. An existing draft can still be opened to read it.
    """
    draft = _draft(db, sample_id, user_id)
    if draft is not None:
        return draft
    row = db.execute(
        select(Sample, Project)
        .join(Project, Project.id == Sample.project_id)
        .where(Sample.id == sample_id)
        .with_for_update(of=Sample)
        .suffix_with(WHILE_OPEN)
    ).one_or_none()
    if row is None or row.Sample.head_id is None:
        raise NotFound("There is no such sample.")
    sample, project = row
    if project.archived_at is not None:
        raise Conflict(ARCHIVED)
    draft = _draft(db, sample_id, user_id)
    if draft is not None:
        return draft
    if sample.taken >= project.annotators_per_sample:
        raise Outdated("Another annotator took this sample in the meantime. Take the next one.")
    sample.taken += 1
    db.execute(insert(Draft).values(sample_id=sample_id, user_id=user_id, head_id=sample.head_id))
    draft = _draft(db, sample_id, user_id)
    assert draft is not None  # noqa: S101 - written two lines above
    return draft


def next_sample(db: Session, *, user_id: int, project_id: int | None = None) -> int | None:
    """The oldest open sample that the user can take; None when the queue is empty.

    Two users who ask at once get different samples: rows that another request has locked are
    skipped.
    """
    mine = exists().where(Draft.sample_id == Sample.id, Draft.user_id == user_id)
    statement = (
        select(Sample.id)
        .join(Project, Project.id == Sample.project_id)
        .join(Membership, Membership.project_id == Project.id)
        .where(
            Membership.user_id == user_id,
            Project.archived_at.is_(None),
            Sample.taken < Project.annotators_per_sample,
            Sample.head_id.is_not(None),
            or_(Sample.taken == 0, ~mine),
        )
        .order_by(Sample.id)
        .limit(1)
        .with_for_update(of=Sample, skip_locked=True)
    )
    if project_id is not None:
        statement = statement.where(Project.id == project_id)
    return db.scalar(statement)


def finish(db: Session, *, draft: Draft, base_version: int) -> None:
    """Mark the sample as done. Raises Conflict while its text is unfinished."""
    begin(draft, base_version)
    run = db.scalar(
        select(Regeneration).where(
            Regeneration.draft_id == draft.id, Regeneration.state.in_(UNFINISHED)
        )
    )
    if run is not None:
        raise Conflict(_not_complete(run))
    draft.finished_at = now()
    _touch(db, draft)


def reopen(db: Session, *, draft: Draft) -> None:
    """Reopen a finished draft."""
    if draft.finished_at is not None:
        draft.finished_at = None
        _touch(db, draft)


def _not_complete(run: Regeneration) -> Message:
    if run.state is not RunState.WAITING:
        return Message(
            "The text is still being written. Wait until it is complete or stop it, then finish."
        )
    if run.undecided:
        return Message(
            "The text is not complete. Choose a candidate, or press Stop to end the text here, "
            "then finish."
        )
    return Message(
        "The text is not complete. Press Resume for the rest, or Stop to end the text here, "
        "then finish."
    )


def _touch(db: Session, draft: Draft) -> None:
    draft.version += 1
    draft.updated_at = now()
    notifications.notify(db, f"draft:{draft.id}")


def _draft(db: Session, sample_id: int, user_id: int) -> Draft | None:
    return db.scalar(select(Draft).where(Draft.sample_id == sample_id, Draft.user_id == user_id))
