"""Attempts at an import: taken by one process, kept by its lease, fenced in every write.

As with snapshots, the queue only dispatches. A process that was thought dead and is not finds that
its attempt no longer counts, and its transaction with all samples is rolled back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, Update, func, select, text, update
from sqlalchemy.orm import Session

from app.database import jobs
from app.database.notifications import notify
from app.domain.messages import Message
from app.models import Import, ImportState
from app.samples.importing import ImportRefused, ImportReport, Progress

MAX_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Work:
    """All that a process needs to know of an import, as one attempt holds it."""

    import_id: int
    attempt: int
    project_id: int
    created_by: int | None
    source: str
    upload: str
    policy: str
    instruction: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Recovered:
    """Imports whose process had died: waiting again, failed for good, given a job again. dropped:
    the names of uploads that nobody needs any more."""

    requeued: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    deferred: tuple[int, ...] = ()
    dropped: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.requeued or self.failed or self.deferred)


def defer(db: Session, import_id: int, *, delay_s: float = 0) -> None:
    """Have a worker do it once this transaction is committed."""
    jobs.defer(
        db,
        jobs.Task.IMPORT,
        priority=jobs.Priority.BATCH,
        delay_s=delay_s,
        import_id=import_id,
    )


def start(db: Session, *, import_id: int, worker: str, lease_s: float) -> Work | None:
    """Take a waiting import: the next attempt, with a lease. None: it is not to be had, or another
    into its project is running, whose end gives it a job again."""
    project_id = db.scalar(select(Import.project_id).where(Import.id == import_id))
    # One process at a time looks whether the project is free.
    db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_KEY % project_id, 0))))
    busy = select(Import.id).where(
        Import.project_id == project_id, Import.state == ImportState.RUNNING
    )
    row = db.execute(
        _its(import_id)
        .where(Import.state == ImportState.WAITING, ~busy.exists())
        .values(
            state=ImportState.RUNNING,
            samples=0,
            images=0,
            fraction=0,
            seconds_left=None,
            attempt=Import.attempt + 1,
            worker=worker,
            lease_until=_lease(lease_s),
            started_at=func.clock_timestamp(),
        )
        .returning(
            Import.id.label("import_id"),
            Import.attempt,
            Import.project_id,
            Import.created_by,
            Import.source,
            Import.upload,
            Import.policy,
            Import.instruction,
            Import.columns,
        )
    ).one_or_none()
    return None if row is None else Work(**row._mapping)


def advance(db: Session, work: Work, progress: Progress, *, lease_s: float) -> bool:
    """Say how far it is and renew the lease. False: the attempt counts no longer, stop."""
    return _held(
        db,
        work,
        samples=progress.samples,
        images=progress.images,
        fraction=progress.fraction,
        seconds_left=progress.seconds_left,
        lease_until=_lease(lease_s),
    )


def holds(db: Session, *, import_id: int, worker: str) -> bool:
    """Whether that process holds the import, its lease not being over."""
    held = select(Import.id).where(
        Import.id == import_id,
        Import.worker == worker,
        Import.lease_until > func.clock_timestamp(),
    )
    return db.scalar(held) is not None


def finish(db: Session, work: Work, report: ImportReport) -> bool:
    """Make it done, in the transaction that holds its samples. False: the attempt counts no longer,
    roll back."""
    return _end(
        db,
        work,
        state=ImportState.DONE,
        samples=report.added + report.unchanged,
        images=report.images,
        fraction=1,
        report={
            "added": report.added,
            "unchanged": report.unchanged,
            "images": report.images,
            "segments": report.segments,
            "recut": report.recut,
            "notices": [str(notice) for notice in report.notices],
        },
    )


def refuse(db: Session, work: Work, refused: ImportRefused) -> bool:
    """Say what is wrong in the file. False: the attempt counts no longer."""
    return _end(
        db,
        work,
        state=ImportState.FAILED,
        error=str(refused.message),
        error_count=refused.count,
        errors=refused.shown,
    )


def fail(db: Session, work: Work, error: str) -> bool:
    """Say why it cannot be done. False: the attempt counts no longer."""
    return _end(db, work, state=ImportState.FAILED, error=str(error))


def put_off(db: Session, work: Work, *, delay_s: float) -> bool:
    """Let it wait: somebody else holds what it needs. False: the attempt counts no longer."""
    held = _held(
        db, work, state=ImportState.WAITING, lease_until=None, worker=None, started_at=None
    )
    if held:
        defer(db, work.import_id, delay_s=delay_s)
    return held


def give_back(db: Session, *, import_id: int, worker: str) -> bool:
    """Let another process begin it afresh: this one has to stop, through no fault of the import.

    False: it does not hold it.
    """
    held = db.scalar(
        _its(import_id)
        .where(Import.worker == worker, Import.state == ImportState.RUNNING)
        .values(state=ImportState.WAITING, lease_until=None, worker=None, started_at=None)
        .returning(Import.id)
    )
    if held:
        defer(db, import_id)
    return held is not None


def died(db: Session, *, import_id: int, worker: str) -> str | None:
    """Count the death of a process, whether it had taken the import or not yet.

    Returns the name of the upload when nobody needs it any more.
    """
    theirs = db.scalar(
        select(Import)
        .where(
            Import.id == import_id,
            (Import.state == ImportState.WAITING)
            | ((Import.state == ImportState.RUNNING) & (Import.worker == worker)),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if theirs is None:
        return None
    dropped = _count(db, theirs)
    db.flush()
    if theirs.state is ImportState.WAITING:
        defer(db, import_id)
    return dropped


def recover(db: Session) -> Recovered:
    """Hand on what dead processes held, and defer again what waits without a job.

    Any number of workers may call it at any time.
    """
    lost = db.scalars(
        select(Import)
        .where(Import.state == ImportState.RUNNING, Import.lease_until < func.now())
        .order_by(Import.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    dropped = [name for each in lost if (name := _count(db, each)) is not None]
    db.flush()
    # Those just put back have no job either.
    waiting = db.scalars(_WAITING_WITHOUT_JOB, {"task": jobs.Task.IMPORT.value}).all()
    for import_id in waiting:
        defer(db, import_id)
    requeued = {each.id for each in lost if each.state is ImportState.WAITING}
    return Recovered(
        requeued=tuple(sorted(requeued)),
        failed=tuple(each.id for each in lost if each.id not in requeued),
        deferred=tuple(number for number in waiting if number not in requeued),
        dropped=tuple(dropped),
    )


def key(import_id: int) -> str:
    """What those watch who wait for its end (app/database/notifications.py)."""
    return f"import:{import_id}"


def _count(db: Session, lost: Import) -> str | None:
    """A process of it has died: another may try, unless too many have. Returns its upload then."""
    lost.worker = lost.lease_until = lost.started_at = None
    lost.failures += 1
    if lost.failures < MAX_FAILURES:
        lost.state = ImportState.WAITING
        return None
    dropped, lost.upload = lost.upload, None
    lost.state = ImportState.FAILED
    lost.error = str(
        Message(
            "The process that was importing it died, %(times)s times. See the worker's log.",
            times=lost.failures,
        )
    )
    lost.finished_at = func.clock_timestamp()
    notify(db, key(lost.id))
    _defer_next(db, lost.project_id)
    return dropped


def _end(db: Session, work: Work, **values: object) -> bool:
    """Make it final, if the attempt still counts, and let the project's next one begin."""
    ended = _held(
        db,
        work,
        upload=None,
        lease_until=None,
        worker=None,
        seconds_left=None,
        finished_at=func.clock_timestamp(),
        **values,
    )
    if ended:
        notify(db, key(work.import_id))
        _defer_next(db, work.project_id)
    return ended


def _defer_next(db: Session, project_id: int) -> None:
    waiting = select(func.min(Import.id)).where(
        Import.project_id == project_id, Import.state == ImportState.WAITING
    )
    if (import_id := db.scalar(waiting)) is not None:
        defer(db, import_id)


def _held(db: Session, work: Work, **values: object) -> bool:
    """Write, if the attempt still counts. Its lease may be over: nobody has taken it yet."""
    result = db.execute(
        _its(work.import_id)
        .where(Import.attempt == work.attempt, Import.state == ImportState.RUNNING)
        .values(**values)
    )
    return cast(CursorResult[tuple[()]], result).rowcount == 1


def _its(import_id: int) -> Update:
    # Who runs an import holds no model of it: there is nothing to synchronise.
    return update(Import).where(Import.id == import_id).execution_options(synchronize_session=False)


def _lease(lease_s: float) -> Any:
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, lease_s)


_KEY = "iterdpo start import %s"
_WAITING_WITHOUT_JOB = text(
    """
    SELECT id FROM imports AS import
    WHERE state = 'waiting' AND NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs AS job
        WHERE job.task_name = :task AND job.status IN ('todo', 'doing')
            AND (job.args ->> 'import_id')::bigint = import.id
    ) AND NOT EXISTS (
        SELECT 1 FROM imports AS other
        WHERE other.project_id = import.project_id AND other.state = 'running'
    )
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
    """
)
