"""Attempts at a regeneration: taken by a worker, handed on, recovered from a dead one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Double, any_, bindparam, case, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import changes, jobs
from app.domain.prompts import ChatPrompt
from app.domain.segments import Rule, RuleKind
from app.models import Policy, Regeneration, RunState, now
from app.regenerations.requests import announce_end
from app.regenerations.texts import keep_tail, path_text, written_text

MAX_FAILURES = 5
_LOST = (
    "The worker that was writing this text died, {times} times. What is written is kept. "
    "Retry; if it happens again, tell your admin."
)


@dataclass(frozen=True, slots=True)
class Work:
    """All that a worker needs to write a regeneration, as one attempt holds it.

    prompt: what a model is asked with; its prefix is the path's text and what earlier attempts
    have kept. before: the path's text alone. kept: that of earlier attempts, of which the first
    `cut` code points are segments. anchor_id: the segment that is continued. adapter: the served
    name of the adapter that writes it, "" for the model itself. waited_s: from the request to this
    attempt, in seconds.
    """

    regeneration_id: int
    attempt: int
    draft_id: int
    sample_id: int
    anchor_id: int
    prompt: ChatPrompt
    rule: Rule
    before: str
    kept: str
    cut: int
    settings: Mapping[str, Any]
    policy_id: int = 0
    adapter: str = ""
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recover() found: handed on, failed for good, and waiting without a job."""

    requeued: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    deferred: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.requeued or self.failed or self.deferred)


def register_policy(db: Session, *, name: str, engine: str, **facts: str | int) -> int:
    """The id of the policy of that name, written at the first call with these facts."""
    db.execute(
        insert(Policy)
        .values(name=name, engine=engine, **facts)
        .on_conflict_do_nothing(index_elements=[Policy.name])
    )
    return db.scalars(select(Policy.id).where(Policy.name == name)).one()


def start(
    db: Session,
    *,
    regeneration_id: int,
    worker: str,
    policy_id: int,
    lease_s: float,
    held: Collection[int] = (),
) -> Work | None:
    """Take a queued regeneration: the next attempt, with a lease. None: it is not to be had.

    policy_id: what it is written with, unless an earlier attempt began it with a policy that the
    worker can write with too (held): then it stays with that.
    """
    run = db.execute(
        _START,
        {
            "run": regeneration_id,
            "by": worker,
            "policy": policy_id,
            "held": list(held),
            "lease_s": lease_s,
        },
    ).one_or_none()
    if run is None:
        return None
    changes.notify(db, f"regeneration:{run.id}", f"draft:{run.draft_id}")
    task = db.execute(_TASK, {"sample": run.sample_id, "policy": run.policy_id}).one()
    before = path_text(db, run.anchor_id)
    kept = written_text(db, run.id) if run.written else ""
    return Work(
        regeneration_id=run.id,
        attempt=run.attempt,
        draft_id=run.draft_id,
        sample_id=run.sample_id,
        anchor_id=run.anchor_id,
        prompt=ChatPrompt(
            system=str(run.settings.get("system", "")),
            images=tuple(task.images),
            instruction=task.instruction,
            prefix=before + kept,
        ),
        rule=Rule(RuleKind(task.rule), task.rule_words),
        before=before,
        kept=kept,
        cut=run.cut,
        settings=run.settings,
        policy_id=run.policy_id,
        adapter=task.adapter or "",
        waited_s=run.waited_s,
    )


def give_back(
    db: Session, held: Sequence[tuple[int, int]], *, error: str | None = None, delay_s: float = 0
) -> set[int]:
    """Let another worker go on with what these attempts (regeneration id, attempt) still hold.

    error: the attempt failed and this is why; after MAX_FAILURES the regeneration has failed with
    that reason. delay_s: not to be taken up before so many seconds. Returns the ids handed on: not
    those that were lost, nor one whose row somebody holds just now.
    """
    attempts = dict(held)
    rows = db.scalars(
        select(Regeneration)
        .where(Regeneration.id.in_(attempts), Regeneration.state == RunState.RUNNING)
        .order_by(Regeneration.id)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    mine = [run for run in rows if run.attempt == attempts[run.id]]
    for run in mine:
        _hand_on(db, run, error=error, delay_s=delay_s)
    return {run.id for run in mine}


def recover(db: Session) -> Recovered:
    """Hand on what dead workers held, and defer again what waits without a job.

    Any number of workers may call it at any time.
    """
    lost = db.scalars(
        select(Regeneration)
        .where(Regeneration.state == RunState.RUNNING, Regeneration.lease_until < func.now())
        .order_by(Regeneration.id)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    for run in lost:
        _hand_on(db, run, error=_LOST.format(times=MAX_FAILURES))
    waiting = db.scalars(_WAITING_WITHOUT_JOB, {"task": jobs.Task.REGENERATE.value}).all()
    for regeneration_id in waiting:
        _defer(db, regeneration_id)
    return Recovered(
        requeued=tuple(run.id for run in lost if run.state is RunState.QUEUED),
        failed=tuple(run.id for run in lost if run.state is RunState.FAILED),
        deferred=tuple(waiting),
    )


def _hand_on(db: Session, run: Regeneration, *, error: str | None, delay_s: float = 0) -> None:
    """Back to the queue, or failed for good; the row is locked by the caller."""
    run.worker = run.lease_until = None
    run.failures += error is not None
    if error is not None and run.failures >= MAX_FAILURES:
        keep_tail(db, run)
        run.state, run.error, run.finished_at = RunState.FAILED, error, now()
        db.flush()
        announce_end(db, run.draft_id, run.id)
        return
    run.state = RunState.QUEUED
    db.flush()
    _defer(db, run.id, delay_s)
    key = f"regeneration:{run.id}"
    changes.notify(db, key, f"draft:{run.draft_id}", workers=[key])


def _defer(db: Session, regeneration_id: int, delay_s: float = 0) -> None:
    jobs.defer(
        db,
        jobs.Task.REGENERATE,
        priority=jobs.Priority.INTERACTIVE,
        delay_s=delay_s,
        regeneration_id=regeneration_id,
    )


_START = (
    update(Regeneration)
    .where(Regeneration.id == bindparam("run"), Regeneration.state == RunState.QUEUED)
    .values(
        state=RunState.RUNNING,
        attempt=Regeneration.attempt + 1,
        worker=bindparam("by"),
        policy_id=case(
            (
                Regeneration.policy_id == any_(bindparam("held", type_=ARRAY(BigInteger))),
                Regeneration.policy_id,
            ),
            else_=bindparam("policy"),
        ),
        lease_until=func.clock_timestamp()
        + func.make_interval(0, 0, 0, 0, 0, 0, bindparam("lease_s")),
        started_at=func.coalesce(Regeneration.started_at, func.clock_timestamp()),
    )
    .returning(
        Regeneration.id,
        Regeneration.attempt,
        Regeneration.draft_id,
        Regeneration.sample_id,
        Regeneration.anchor_id,
        Regeneration.settings,
        Regeneration.written,
        Regeneration.cut,
        Regeneration.policy_id,
        func.extract("epoch", func.clock_timestamp() - Regeneration.created_at)
        .cast(Double)
        .label("waited_s"),
    )
    .execution_options(synchronize_session="fetch")
)

_TASK = text(
    """
    SELECT sample.instruction, project.rule, project.rule_words, ARRAY(
        SELECT sha256 FROM sample_images WHERE sample_id = sample.id ORDER BY position
    ) AS images, (
        SELECT served_name FROM policies WHERE id = :policy AND adapter_hash <> ''
    ) AS adapter
    FROM samples AS sample JOIN projects AS project ON project.id = sample.project_id
    WHERE sample.id = :sample
    """
)

_WAITING_WITHOUT_JOB = text(
    """
    SELECT id FROM regenerations AS run
    WHERE state = 'queued' AND NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs AS job
        WHERE job.task_name = :task AND job.status IN ('todo', 'doing')
            AND (job.args ->> 'regeneration_id')::bigint = run.id
    )
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
    """
)
