"""Attempts at building a snapshot: one builder takes it, a lease keeps it, every write is fenced.

As with regenerations, the queue only dispatches. A builder that was wrongly believed dead finds
that its attempt no longer counts, and nothing that it writes is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, Update, func, select, text, update
from sqlalchemy.orm import Session

from app.database import jobs
from app.domain.filters import PairFilter, from_canonical
from app.domain.messages import Message
from app.domain.prompts import Template
from app.domain.quality import Gate, allow
from app.domain.splits import SplitPlan
from app.models import Project, Snapshot, SnapshotState

MAX_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Work:
    """Input of one attempt.

    project: its name.
    own_template: a model's own template, which the store keeps, renders the rows.
    """

    snapshot_id: int
    attempt: int
    project_id: int
    project: str
    name: str
    format: str
    filter: PairFilter
    gate: Gate
    plan: SplitPlan
    own_template: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """The facts that a ready snapshot keeps."""

    counts: Mapping[str, Any]
    content_hash: str
    archive_sha256: str
    size: int
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recovered:
    """Snapshots whose builder died: requeued, failed for good, or given a new job."""

    requeued: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    deferred: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.requeued or self.failed or self.deferred)


def defer(db: Session, snapshot_id: int) -> None:
    """Have a worker build it once this transaction is committed."""
    jobs.defer(db, jobs.Task.SNAPSHOT, priority=jobs.Priority.BATCH, snapshot_id=snapshot_id)


def start(db: Session, *, snapshot_id: int, worker: str, lease_s: float) -> Work | None:
    """Take a queued snapshot: the next attempt, with a lease. None: it is not available."""
    row = db.execute(
        _its(snapshot_id)
        .where(Snapshot.state == SnapshotState.QUEUED)
        .values(
            state=SnapshotState.BUILDING,
            stage="",
            done=0,
            total=0,
            attempt=Snapshot.attempt + 1,
            worker=worker,
            lease_until=_lease(lease_s),
        )
        .returning(
            Snapshot.attempt,
            Snapshot.project_id,
            Snapshot.name,
            Snapshot.format,
            Snapshot.template,
            Snapshot.filter,
            Snapshot.gate,
            Snapshot.split,
            Snapshot.seed,
        )
    ).one_or_none()
    if row is None:
        return None
    return Work(
        snapshot_id=snapshot_id,
        attempt=row.attempt,
        project_id=row.project_id,
        project=db.get_one(Project, row.project_id).name,
        name=row.name,
        format=row.format,
        filter=from_canonical(row.filter),
        gate=Gate(
            template=Template(row.gate.get("tokens_as", row.template)),
            allowed=allow(row.gate["allowed"]),
            min_share=row.gate["min_share"],
            max_tokens=row.gate["max_tokens"],
        ),
        own_template="tokens_as" in row.gate,
        plan=SplitPlan(seed=row.seed, **row.split),
    )


def advance(db: Session, work: Work, *, stage: str, done: int, total: int, lease_s: float) -> bool:
    """Report progress and renew the lease. False: the attempt no longer counts, stop."""
    return _held(
        db,
        work,
        stage=stage,
        done=min(done, total),
        total=total,
        lease_until=_lease(lease_s),
    )


def holds(db: Session, *, snapshot_id: int, worker: str) -> bool:
    """Whether that builder holds the snapshot and its lease has not expired."""
    held = select(Snapshot.id).where(
        Snapshot.id == snapshot_id,
        Snapshot.worker == worker,
        Snapshot.lease_until > func.clock_timestamp(),
    )
    return db.scalar(held) is not None


def finish(db: Session, work: Work, result: Result) -> bool:
    """Mark it ready, permanently. False: the attempt no longer counts, drop its files."""
    return _held(
        db,
        work,
        state=SnapshotState.READY,
        stage="",
        lease_until=None,
        worker=None,
        done=Snapshot.total,
        finished_at=func.clock_timestamp(),
        counts=dict(result.counts),
        content_hash=result.content_hash,
        archive_sha256=result.archive_sha256,
        size=result.size,
        manifest=dict(result.manifest),
    )


def fail(db: Session, work: Work, error: str) -> bool:
    """Record why it cannot be built. False: the attempt no longer counts."""
    return _held(
        db,
        work,
        state=SnapshotState.FAILED,
        error=error,
        lease_until=None,
        worker=None,
        finished_at=func.clock_timestamp(),
    )


def give_back(db: Session, *, snapshot_id: int, worker: str) -> bool:
    """Return it to the queue: this builder has to stop for reasons unrelated to the snapshot.

    False: the builder does not hold it.
    """
    held = db.scalar(
        _its(snapshot_id)
        .where(Snapshot.worker == worker, Snapshot.state == SnapshotState.BUILDING)
        .values(state=SnapshotState.QUEUED, stage="", lease_until=None, worker=None)
        .returning(Snapshot.id)
    )
    if held:
        defer(db, snapshot_id)
    return held is not None


def died(db: Session, *, snapshot_id: int, worker: str) -> bool:
    """Count the death of a builder, whether or not it had taken the snapshot.

    False: another builder has it, or nobody needs it any more.
    """
    theirs = db.scalar(
        select(Snapshot)
        .where(
            Snapshot.id == snapshot_id,
            (Snapshot.state == SnapshotState.QUEUED)
            | ((Snapshot.state == SnapshotState.BUILDING) & (Snapshot.worker == worker)),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if theirs is None:
        return False
    _count(theirs)
    if theirs.state is SnapshotState.QUEUED:
        defer(db, snapshot_id)
    return True


def recover(db: Session) -> Recovered:
    """Requeue what dead builders held, and defer again what waits without a job.

    Any number of workers may call it at any time.
    """
    lost = db.scalars(
        select(Snapshot)
        .where(Snapshot.state == SnapshotState.BUILDING, Snapshot.lease_until < func.now())
        .order_by(Snapshot.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    for snapshot in lost:
        _count(snapshot)
    db.flush()
    # Those just put back have no job either.
    waiting = db.scalars(_WAITING_WITHOUT_JOB, {"task": jobs.Task.SNAPSHOT.value}).all()
    for snapshot_id in waiting:
        defer(db, snapshot_id)
    requeued = {snapshot.id for snapshot in lost if snapshot.state is SnapshotState.QUEUED}
    return Recovered(
        requeued=tuple(sorted(requeued)),
        failed=tuple(snapshot.id for snapshot in lost if snapshot.id not in requeued),
        deferred=tuple(number for number in waiting if number not in requeued),
    )


def _count(lost: Snapshot) -> None:
    """Count a builder's death: another may try, unless too many have died."""
    lost.worker = lost.lease_until = None
    lost.failures += 1
    if lost.failures < MAX_FAILURES:
        lost.state = SnapshotState.QUEUED
    else:
        lost.state = SnapshotState.FAILED
        lost.error = Message(
            "The process that built the snapshot died %(times)s times. See the worker's log.",
            times=lost.failures,
        )
        lost.finished_at = func.clock_timestamp()


def _held(db: Session, work: Work, **values: object) -> bool:
    """Write if the attempt still counts: its lease may have expired, if nobody has taken it."""
    result = db.execute(
        _its(work.snapshot_id)
        .where(Snapshot.attempt == work.attempt, Snapshot.state == SnapshotState.BUILDING)
        .values(**values)
    )
    return cast(CursorResult[tuple[()]], result).rowcount == 1


def _its(snapshot_id: int) -> Update:
    # A builder holds no models: there is nothing to synchronise.
    return (
        update(Snapshot)
        .where(Snapshot.id == snapshot_id)
        .execution_options(synchronize_session=False)
    )


def _lease(lease_s: float) -> object:
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, lease_s)


_WAITING_WITHOUT_JOB = text(
    """
    SELECT id FROM snapshots AS snapshot
    WHERE state = 'queued' AND NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs AS job
        WHERE job.task_name = :task AND job.status IN ('todo', 'doing')
            AND (job.args ->> 'snapshot_id')::bigint = snapshot.id
    )
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
    """
)
