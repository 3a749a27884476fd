"""What people can do with snapshots: create, retry, delete."""

import re

from sqlalchemy import event, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import audit
from app.domain.filters import PairFilter
from app.domain.messages import Message
from app.domain.quality import Gate
from app.domain.splits import SplitPlan
from app.exports.formats import format_named
from app.exports.model_template import ModelTemplate
from app.exports.snapshot_store import SnapshotStore
from app.models import Project, Snapshot, SnapshotState
from app.refusals import Conflict, Invalid, NotFound
from app.snapshots import attempts

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def create(
    db: Session,
    *,
    store: SnapshotStore,
    project: Project,
    name: str,
    format: str,
    filter: PairFilter,
    gate: Gate,
    plan: SplitPlan,
    actor_id: int | None,
    model: ModelTemplate | None = None,
) -> Snapshot:
    """Create a snapshot, which a worker builds once this transaction is committed.

    format: the name of a registered format (app/exports/formats.py).
    model: renders the rows instead of the gate's template, which still counts tokens.
    filter: its project is ignored, the snapshot belongs to `project`.

    Raises Invalid for a malformed name, an unknown format or a filter that does not apply to the
    format's items, Conflict when the project already has that name.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            "A name has up to 64 lowercase letters, digits, dots, dashes and underscores, and "
            "begins with a letter or digit.",
            "name",
        )
    form = format_named(format)
    form.kind.refuse(filter)
    if why := form.refusal(model or gate.template):
        raise Invalid(why, "format")
    wanted = filter.canonical()
    wanted.pop("project", None)
    snapshot_id = db.scalar(
        insert(Snapshot)
        .values(
            project_id=project.id,
            name=name,
            format=format,
            template=(model or gate.template).label,
            filter=wanted,
            gate=gate.canonical() | ({"tokens_as": gate.template.value} if model else {}),
            seed=plan.seed,
            split={
                "validation": plan.validation,
                "test": plan.test,
                "separate_images": plan.separate_images,
            },
            created_by=actor_id,
        )
        .on_conflict_do_nothing(index_elements=[Snapshot.project_id, Snapshot.name])
        .returning(Snapshot.id)
    )
    if snapshot_id is None:
        raise Conflict(
            Message(
                "%(project)s already has a snapshot named %(name)s, and snapshots cannot "
                "change. Choose another name.",
                project=project.name,
                name=name,
            )
        )
    store.prepare(snapshot_id)
    if model is not None:
        store.keep_model(snapshot_id, model.saved())
    attempts.defer(db, snapshot_id)
    audit.record(
        db, actor_id, "snapshot_created", f"snapshot:{snapshot_id}", project=project.name, name=name
    )
    return db.get_one(Snapshot, snapshot_id)


def try_again(db: Session, *, store: SnapshotStore, snapshot: Snapshot) -> None:
    """Build a failed snapshot again. Raises Conflict for one that has not failed."""
    _lock(db, snapshot)
    if snapshot.state is not SnapshotState.FAILED:
        raise Conflict("This snapshot has not failed.")
    snapshot.state, snapshot.error, snapshot.finished_at = SnapshotState.QUEUED, None, None
    snapshot.failures = 0
    snapshot.done = snapshot.total = 0
    db.flush()
    store.prepare(snapshot.id)
    attempts.defer(db, snapshot.id)


def delete(db: Session, *, store: SnapshotStore, snapshot: Snapshot, actor_id: int | None) -> None:
    """Delete a snapshot and, after the commit, its files; its builder stops.

    The audit log keeps its name, its content hash and its size: the same filter on the same data
    gives the same content again.
    """
    _lock(db, snapshot)
    snapshot_id = snapshot.id
    audit.record(
        db,
        actor_id,
        "snapshot_deleted",
        f"snapshot:{snapshot_id}",
        name=snapshot.name,
        content_hash=snapshot.content_hash,
        pairs=(snapshot.counts or {}).get("rows"),
    )
    db.delete(snapshot)
    db.flush()

    @event.listens_for(db, "after_commit", once=True)
    def drop(_session: Session) -> None:
        store.drop(snapshot_id)


def _lock(db: Session, snapshot: Snapshot) -> None:
    found = db.scalars(
        select(Snapshot)
        .where(Snapshot.id == snapshot.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        raise NotFound("This snapshot has just been deleted.")
