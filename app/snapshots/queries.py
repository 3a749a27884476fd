"""What pages, the API and the command line show of snapshots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from app.access import visible_projects
from app.domain.filters import from_canonical
from app.domain.messages import Message
from app.domain.rowindex import Comparison, compare, read_index
from app.exports.formats import format_named
from app.exports.snapshot_store import SnapshotStore
from app.models import Project, Snapshot, SnapshotState, User
from app.refusals import Conflict, NotFound
from app.security import Actor


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """A snapshot as lists show it.

    progress: 0 to 1.
    created_by: None for the command line. counts, content_hash, archive_sha256, size: None until it
        is ready.
    """

    id: int
    project_id: int
    project: str
    name: str
    format: str
    template: str
    filter: Mapping[str, Any]
    gate: Mapping[str, Any]
    seed: int
    split: Mapping[str, Any]
    state: SnapshotState
    stage: str
    done: int
    total: int
    attempt: int
    error: str | None
    created_by: str | None
    created_at: datetime
    finished_at: datetime | None
    counts: Mapping[str, Any] | None
    content_hash: str | None
    archive_sha256: str | None
    size: int | None

    @property
    def words(self) -> list[tuple[str, str]]:
        """The filter as names and values."""
        return from_canonical(self.filter).words()

    @property
    def progress(self) -> float:
        """How far its building is, as far as can be said."""
        if self.state is SnapshotState.READY:
            return 1.0
        return self.done / self.total if self.total else 0.0

    @property
    def live(self) -> bool:
        """Whether its state will still change without a person."""
        return self.state in (SnapshotState.QUEUED, SnapshotState.BUILDING)


def snapshots_of(db: Session, *, project_id: int) -> Sequence[SnapshotView]:
    """The project's snapshots, the newest first."""
    rows = db.execute(_VIEWS.where(Snapshot.project_id == project_id).order_by(Snapshot.id.desc()))
    return [_view(row) for row in rows]


def snapshot_view(db: Session, *, snapshot_id: int, actor: Actor | None = None) -> SnapshotView:
    """One snapshot. actor: who must be able to see its project; None: the command line.

    Raises NotFound, in the same words for one that is hidden and one that is not there.
    """
    query = _VIEWS.where(Snapshot.id == snapshot_id)
    if actor is not None:
        query = query.where(visible_projects(actor))
    row = db.execute(query).one_or_none()
    if row is None:
        raise NotFound("There is no such snapshot, or you are not a member of its project.")
    return _view(row)


def manifest_of(db: Session, *, snapshot_id: int) -> Mapping[str, Any] | None:
    """The manifest of a ready snapshot; None before it is ready."""
    return db.scalar(select(Snapshot.manifest).where(Snapshot.id == snapshot_id))


def snapshot_named(db: Session, *, project_id: int, name: str) -> Snapshot:
    """The project's snapshot of that name. Raises NotFound."""
    found = None
    if "\0" not in name:
        found = db.scalar(
            select(Snapshot).where(Snapshot.project_id == project_id, Snapshot.name == name)
        )
    if found is None:
        raise NotFound(Message("There is no snapshot named %(name)s in this project.", name=name))
    return found


def comparison(
    store: SnapshotStore,
    before: Snapshot | SnapshotView,
    after: Snapshot | SnapshotView,
    *,
    shown: int,
) -> Comparison:
    """How one ready snapshot differs from another, with at most `shown` ids of each kind.

    Raises Conflict when one of them is not ready or holds something else, NotFound when its files
    are gone.
    """
    for snapshot in (before, after):
        if snapshot.state is not SnapshotState.READY:
            raise Conflict(
                Message(
                    "%(name)s is not ready, so there is nothing to compare yet.", name=snapshot.name
                )
            )
    one, other = (format_named(snapshot.format).kind for snapshot in (before, after))
    if one is not other:
        raise Conflict(
            Message(
                "%(before)s and %(after)s contain different kinds of items, so they have no "
                "rows in common.",
                before=before.name,
                after=after.name,
            )
        )
    old = store.index(before.id, before.attempt)
    new = store.index(after.id, after.attempt)
    with old.open(encoding="ascii") as left, new.open(encoding="ascii") as right:
        return compare(read_index(left), read_index(right), shown=shown)


_VIEWS: Select[*tuple[Any, ...]] = (
    select(
        Snapshot.id,
        Snapshot.project_id,
        Project.name.label("project"),
        Snapshot.name,
        Snapshot.format,
        Snapshot.template,
        Snapshot.filter,
        Snapshot.gate,
        Snapshot.seed,
        Snapshot.split,
        Snapshot.state,
        Snapshot.stage,
        Snapshot.done,
        Snapshot.total,
        Snapshot.attempt,
        Snapshot.error,
        User.display_name.label("created_by"),
        Snapshot.created_at,
        Snapshot.finished_at,
        Snapshot.counts,
        Snapshot.content_hash,
        Snapshot.archive_sha256,
        Snapshot.size,
    )
    .join(Project, Project.id == Snapshot.project_id)
    .outerjoin(User, User.id == Snapshot.created_by)
)


def _view(row: Row[Any]) -> SnapshotView:
    return SnapshotView(**row._mapping)
