"""Attempts at a regeneration: taken by a worker, handed on, recovered from a dead one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Double,
    Row,
    any_,
    bindparam,
    case,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.database import jobs, notifications
from app.domain.conversation import Context
from app.domain.messages import Message
from app.domain.prompts import ChatPrompt
from app.domain.segments import Cutting
from app.models import Policy, Regeneration, RunState, now
from app.regenerations.candidates import candidates
from app.regenerations.cutting import cutting_of
from app.regenerations.requests import announce_end, defer
from app.regenerations.texts import keep_tail, path_text, written_text

MAX_FAILURES = 5
# Of an output: enough to tell whether another text begins so.
BEGINNING = 400
_LOST = Message(
    "The worker that wrote this text died %(times)s times. The text so far is kept. Retry; if "
    "it happens again, tell your admin.",
    times=MAX_FAILURES,
)


@dataclass(frozen=True, slots=True)
class Work:
    """Input of one attempt.

    prompt: the model's input; its prefix is the path's text and what earlier attempts kept.
    cutting: how the text after the anchor is cut.
    before: the path's text alone.
    kept: the text of earlier attempts, of which the first `cut` code points are segments.
    rest: the cutting after those.
    anchor_id: the segment that is continued.
    tries: attempts since a person asked for text, this one included.
    behind: priority penalty for annotators with several active runs.
    room: how many more segments may be finished before the annotator is waited for; None: all.
    candidates: indices of the missing alternatives for the first segment; None: text is written.
    candidate: the index of the alternative that an engine is asked for.
    adapter: the served name of the adapter that writes it, "" for the model itself.
    waited_s: from the request to this attempt, in seconds.
    beginnings: the first BEGINNING code points of each output of the sample.
    """

    regeneration_id: int
    attempt: int
    draft_id: int
    sample_id: int
    anchor_id: int
    prompt: ChatPrompt
    cutting: Cutting
    before: str
    kept: str
    cut: int
    settings: Mapping[str, Any]
    tries: int = 1
    behind: int = 0
    room: int | None = None
    candidates: tuple[int, ...] | None = None
    candidate: int | None = None
    policy_id: int = 0
    adapter: str = ""
    waited_s: float = 0.0
    beginnings: tuple[str, ...] = ()
    rest: Cutting | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recover() found: handed on, failed for good, timed out, without a job."""

    requeued: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    timed_out: tuple[int, ...] = ()
    deferred: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.requeued or self.failed or self.timed_out or self.deferred)


def register_policy(db: Session, *, name: str, engine: str, **facts: str | int) -> int:
    """The id of the policy with that name; the first call creates it with these facts."""
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
    """Take a queued regeneration: the next attempt, with a lease. None: it is not available.

    policy_id: what writes it, unless an earlier attempt began with a policy that the worker also
        has (held): then it stays with that one.
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
    notifications.notify(db, f"regeneration:{run.id}", f"draft:{run.draft_id}")
    task = db.execute(
        _TASK,
        {
            "sample": run.sample_id,
            "leaf": run.leaf_id,
            "anchor": run.anchor_id,
            "policy": run.policy_id,
            "beginning": BEGINNING,
        },
    ).one()
    before = path_text(db, run.anchor_id)
    kept = written_text(db, run.id) if run.written else ""
    return Work(
        regeneration_id=run.id,
        attempt=run.attempt,
        draft_id=run.draft_id,
        sample_id=run.sample_id,
        anchor_id=run.anchor_id,
        prompt=ChatPrompt(
            # What the data set says goes before what the project says to everything.
            system=task.system or str(run.settings.get("system", "")),
            images=tuple(task.images),
            instruction=task.instruction,
            prefix=before + kept,
            context=Context.from_json(task.system, task.turns, task.image_places),
        ),
        cutting=cutting_of(db, sample_id=run.sample_id, behind_id=run.anchor_id),
        before=before,
        kept=kept,
        cut=run.cut,
        settings=run.settings,
        tries=run.tries,
        behind=max(0, jobs.Priority.INTERACTIVE - run.priority),
        room=None if run.wanted is None else max(0, run.wanted - task.finished),
        candidates=_missing(db, regeneration_id) if _is_undecided(run) else None,
        policy_id=run.policy_id,
        adapter=task.adapter or "",
        waited_s=run.waited_s,
        beginnings=tuple(task.beginnings),
        rest=cutting_of(db, sample_id=run.sample_id, behind_id=run.leaf_id) if run.cut else None,
        depth=task.depth,
    )


def give_back(
    db: Session, held: Sequence[tuple[int, int]], *, error: str | None = None, delay_s: float = 0
) -> set[int]:
    """Let another worker continue what these attempts (regeneration id, attempt) still hold.

    error: the attempt failed for this reason; after MAX_FAILURES the regeneration fails with it.
    delay_s: seconds before it may be taken again.

    Returns the ids handed on, without those that were lost or whose row is locked at the moment.
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


def put_off(db: Session, *, regeneration_id: int, delay_s: float) -> None:
    """Give back a job that was not begun; a new one runs after that many seconds."""
    priority = db.scalar(select(Regeneration.priority).where(Regeneration.id == regeneration_id))
    if priority is not None:
        defer(db, regeneration_id, priority, delay_s)


def recover(db: Session, *, timeout_s: float | None = None) -> Recovered:
    """Hand on what dead workers held, and defer again what waits without a job.

    timeout_s: writing time after which a run fails, counted since a person asked for it, without
        gaps between attempts and waits for the annotator. None: no limit.

    Any number of workers may call it at any time.
    """
    timed_out = _give_up(db, timeout_s) if timeout_s is not None else ()
    lost = db.scalars(
        select(Regeneration)
        .where(Regeneration.state == RunState.RUNNING, Regeneration.lease_until < func.now())
        .order_by(Regeneration.id)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    for run in lost:
        _hand_on(db, run, error=_LOST)
    queued = db.execute(_QUEUED_WITHOUT_JOB, {"task": jobs.Task.REGENERATE.value}).all()
    for regeneration_id, priority in queued:
        defer(db, regeneration_id, priority)
    return Recovered(
        requeued=tuple(run.id for run in lost if run.state is RunState.QUEUED),
        failed=tuple(run.id for run in lost if run.state is RunState.FAILED),
        timed_out=timed_out,
        deferred=tuple(run.id for run in queued),
    )


def _give_up(db: Session, timeout_s: float) -> tuple[int, ...]:
    """Fail runs that exceeded the time limit; a worker that still holds one is notified at once."""
    late = db.scalars(
        select(Regeneration)
        .where(
            Regeneration.state == RunState.RUNNING,
            _seconds_in_attempt() + Regeneration.spent_s > timeout_s,
        )
        .order_by(Regeneration.id)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    for run in late:
        _fail(db, run, _too_long(timeout_s))
    return tuple(run.id for run in late)


def _too_long(timeout_s: float) -> Message:
    return Message(
        "Writing this text took longer than %(minutes)s minutes, so it was stopped. The text "
        "so far is kept. Retry; if it happens again, tell your admin.",
        minutes=f"{round(timeout_s / 60, 1):g}",
    )


def _seconds_in_attempt() -> ColumnElement[Any]:
    return func.extract("epoch", func.clock_timestamp() - Regeneration.attempt_at)


def _hand_on(db: Session, run: Regeneration, *, error: str | None, delay_s: float = 0) -> None:
    """Requeue, or fail for good; the caller has locked the row."""
    run.failures += error is not None
    if error is not None and run.failures >= MAX_FAILURES:
        _fail(db, run, error)
        return
    priority = run.priority
    run.worker = run.lease_until = None
    run.state, run.queued_at = RunState.QUEUED, now()
    # By the database's clock, as the attempt's beginning.
    run.spent_s = Regeneration.spent_s + _seconds_in_attempt()
    db.flush()
    defer(db, run.id, priority, delay_s)
    key = f"regeneration:{run.id}"
    notifications.notify(db, key, f"draft:{run.draft_id}", workers=[key])


def _fail(db: Session, run: Regeneration, error: str) -> None:
    keep_tail(db, run)
    run.worker = run.lease_until = None
    run.state, run.error, run.finished_at = RunState.FAILED, error, now()
    db.flush()
    announce_end(db, run.draft_id, run.id)


def _is_undecided(run: Row[Any]) -> bool:
    return bool(run.candidates > 0 and run.leaf_id == run.anchor_id)


def _missing(db: Session, regeneration_id: int) -> tuple[int, ...]:
    run = db.get_one(Regeneration, regeneration_id)
    there = {one.candidate for one in candidates(db, run)}
    return tuple(index for index in range(run.candidates) if index not in there)


_START = (
    update(Regeneration)
    .where(Regeneration.id == bindparam("run"), Regeneration.state == RunState.QUEUED)
    .values(
        state=RunState.RUNNING,
        attempt=Regeneration.attempt + 1,
        tries=Regeneration.tries + 1,
        attempt_at=func.clock_timestamp(),
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
        Regeneration.leaf_id,
        Regeneration.settings,
        Regeneration.wanted,
        Regeneration.candidates,
        Regeneration.priority,
        Regeneration.tries,
        Regeneration.written,
        Regeneration.cut,
        Regeneration.policy_id,
        func.extract("epoch", func.clock_timestamp() - Regeneration.queued_at)
        .cast(Double)
        .label("waited_s"),
    )
    .execution_options(synchronize_session="fetch")
)

_TASK = text(
    """
    SELECT sample.system, sample.turns, sample.image_places, sample.instruction, ARRAY(
        SELECT sha256 FROM sample_images WHERE sample_id = sample.id ORDER BY position
    ) AS images, ARRAY(
        SELECT left(first.text, :beginning) FROM segments AS first
        JOIN segments AS root ON root.id = first.parent_id
        WHERE root.sample_id = sample.id AND root.parent_id IS NULL
        ORDER BY first.id LIMIT 8
    ) AS beginnings, (SELECT depth FROM segments WHERE id = :leaf) AS depth, (
        SELECT depth FROM segments WHERE id = :leaf)
        - (SELECT depth FROM segments WHERE id = :anchor) AS finished, (
        SELECT served_name FROM policies WHERE id = :policy AND adapter_hash <> ''
    ) AS adapter
    FROM samples AS sample WHERE sample.id = :sample
    """
)

_QUEUED_WITHOUT_JOB = text(
    """
    SELECT id, priority FROM regenerations AS run
    WHERE state = 'queued' AND NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs AS job
        WHERE job.task_name = :task AND job.status IN ('todo', 'doing')
            AND (job.args ->> 'regeneration_id')::bigint = run.id
    )
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
    """
)
