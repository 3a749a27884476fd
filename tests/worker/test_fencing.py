"""Only the holder of the current attempt writes: whoever lost a regeneration changes nothing."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from app import regenerations
from app.database.sessions import make_engine
from app.models import Chunk, Regeneration, RunState, Segment
from app.regenerations import MAX_FAILURES, Cut, Ending, Outcome, Portion, Work
from tests.worker.conftest import Studio

LOST, BUSY, WRITTEN = Outcome.LOST, Outcome.BUSY, Outcome.WRITTEN


@pytest.fixture
def run(studio: Studio) -> int:
    """A regeneration that waits."""
    return studio.correct(3, "captivating realm", "wide field")


def portion(
    work: Work, start: int, said: str = "", *cuts: Cut, ending: Ending | None = None
) -> Portion:
    return Portion(work.regeneration_id, work.attempt, start, said, cuts, ending)


def facts(studio: Studio) -> tuple[object, ...]:
    """Everything that a worker could change."""
    with studio.sessions() as db:
        rows = db.execute(select(Regeneration.__table__).order_by(Regeneration.id)).all()
        return (
            [row._asdict() for row in rows],
            db.scalars(select(func.count()).select_from(Segment)).one(),
            db.execute(select(Chunk.__table__).order_by(Chunk.start)).all(),
        )


def lose_lease(studio: Studio, run: int) -> None:
    studio.end_lease(run)
    studio.recover()
    studio.start(run, "another")


def lose_to_handing_on(studio: Studio, run: int) -> None:
    with studio.sessions.begin() as db:
        regenerations.give_back(db, [(run, studio.run(run).attempt)])


def lose_to_stop(studio: Studio, run: int) -> None:
    studio.stop(run)


def lose_to_a_correction(studio: Studio, run: int) -> None:
    studio.correct(2, "Welcome back", "Hello again")


def lose_to_the_end(studio: Studio, run: int) -> None:
    row = studio.run(run)
    studio.append(Portion(run, row.attempt, row.written, ending=Ending("length")))


@pytest.mark.parametrize(
    "lose", [lose_lease, lose_to_handing_on, lose_to_stop, lose_to_a_correction, lose_to_the_end]
)
def test_whoever_lost_it_changes_nothing(
    studio: Studio, run: int, lose: Callable[[Studio, int], None]
) -> None:
    zombie = studio.start(run)
    studio.append(portion(zombie, 0, "kept "))
    lose(studio, run)
    before = facts(studio)
    assert studio.append(portion(zombie, 5, "too late")) == [LOST]
    assert studio.append(portion(zombie, 5, "", Cut(5, "kept ", None))) == [LOST]
    assert studio.append(portion(zombie, 5)) == [LOST], "nor is the lease renewed"
    assert studio.append(portion(zombie, 5, ending=Ending("stop"))) == [LOST]
    assert studio.append(portion(zombie, 5, ending=Ending(error="failed"))) == [LOST]
    with studio.sessions.begin() as db:
        regenerations.give_back(db, [(run, zombie.attempt)], error="failed")
    assert facts(studio) == before


def test_others_of_the_batch_are_written_when_one_is_lost(studio: Studio, run: int) -> None:
    lost = studio.start(run)
    studio.stop(run)
    studio.new_draft(["One.\n", "Two.\n", "Three."])
    other = studio.start(studio.correct(1, "One", "Uno"))
    assert studio.append(portion(lost, 0, "late"), portion(other, 0, "Two.")) == [LOST, WRITTEN]
    assert studio.written(other.regeneration_id) == "Two."


def test_a_regeneration_is_started_once(studio: Studio, run: int) -> None:
    taken: list[Work | None] = []

    def take(name: str) -> None:
        with studio.sessions.begin() as db:
            taken.append(
                regenerations.start(db, regeneration_id=run, worker=name, policy_id=1, lease_s=9)
            )

    threads = [threading.Thread(target=take, args=(f"worker {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(work is not None for work in taken) == 1
    assert studio.run(run).attempt == 1


def test_a_portion_that_was_already_committed_is_not_written_twice(
    studio: Studio, run: int
) -> None:
    work = studio.start(run)
    studio.append(portion(work, 0, "One.\n", Cut(5, "One.\n", None)))
    # The connection died after COMMIT was sent: it comes again, with what followed since.
    again = portion(work, 0, "One.\nTwo.\nThr", Cut(5, "One.\n", None), Cut(10, "Two.\n", None))
    assert studio.append(again) == [WRITTEN]
    assert studio.written(run) == "One.\nTwo.\nThr"
    assert studio.segments(run) == ["One.\n", "Two.\n"]


@pytest.mark.parametrize("start", [0, 3, 5])
def test_text_from_a_wrong_place_is_not_taken(studio: Studio, run: int, start: int) -> None:
    work = studio.start(run)
    studio.append(portion(work, 0, "kept"))
    said = "" if start == 5 else "xyz"[: 3 - start]
    assert studio.append(portion(work, start, said)) == [LOST]
    assert studio.written(run) == "kept"


def test_a_row_that_somebody_holds_is_passed_over_without_waiting(studio: Studio, run: int) -> None:
    held = studio.start(run)
    studio.new_draft(["One.\n", "Two.\n", "Three."])
    free = studio.start(studio.correct(1, "One", "Uno"))
    with studio.sessions() as db:
        db.execute(text("SET LOCAL lock_timeout = '1s'"))
        db.get(Regeneration, run, with_for_update=True)
        both = (portion(held, 0, "waits"), portion(free, 0, "goes on"))
        assert studio.append(*both) == [BUSY, WRITTEN]
        db.rollback()
    assert studio.append(both[0]) == [WRITTEN]


def test_only_the_last_segment_of_a_text_that_stopped_by_itself_ends_it(
    studio: Studio, run: int
) -> None:
    work = studio.start(run)
    cuts = (Cut(2, "A\n", None), Cut(4, "B\n", None))
    studio.append(portion(work, 0, "A\nB\n", *cuts, ending=Ending("stop")))
    with studio.sessions() as db:
        ends = db.scalars(
            select(Segment.ends_output)
            .where(Segment.regeneration_id == run)
            .order_by(Segment.depth)
        )
        assert [*ends] == [False, True]
    assert studio.run(run).state is RunState.DONE


@pytest.mark.parametrize("ending", [Ending("length"), Ending(error="It broke.")])
def test_a_text_that_was_cut_off_has_no_known_end(studio: Studio, run: int, ending: Ending) -> None:
    work = studio.start(run)
    studio.append(portion(work, 0, "A", Cut(1, "A", None), ending=ending))
    row = studio.run(run)
    assert (row.state, row.error) == (ending.state, ending.error)
    with studio.sessions() as db:
        assert db.get_one(Segment, row.leaf_id).ends_output is False


def test_a_dead_workers_text_is_kept_and_handed_on(studio: Studio, run: int) -> None:
    first = studio.start(run)
    studio.append(portion(first, 0, "One.\nTw", Cut(5, "One.\n", None)))
    assert not studio.recover(), "its lease still runs"
    studio.end_lease(run)
    before = studio.jobs()
    assert studio.recover().requeued == (run,)
    assert studio.jobs() == before + 1
    second = studio.start(run)
    assert (second.attempt, second.kept, second.cut) == (2, "One.\nTw", 5)
    assert second.prompt.prefix == first.prompt.prefix + "One.\nTw"
    assert studio.append(portion(second, 7, "o.", Cut(9, "Two.", None))) == [WRITTEN]
    assert studio.segments(run) == ["One.\n", "Two."]


def test_after_too_many_deaths_it_has_failed_with_a_reason_and_keeps_its_text(
    studio: Studio, run: int
) -> None:
    for attempt in range(1, MAX_FAILURES + 1):
        work = studio.start(run)
        assert work.attempt == attempt
        studio.append(portion(work, len(work.kept), "word "))
        studio.end_lease(run)
        recovered = studio.recover()
    assert recovered.failed == (run,)
    row = studio.run(run)
    assert row.state is RunState.FAILED
    assert row.error is not None
    assert "5 times" in row.error
    assert studio.segments(run) == ["word " * MAX_FAILURES]


def test_being_handed_on_is_no_failure(studio: Studio, run: int) -> None:
    for _ in range(MAX_FAILURES + 2):
        work = studio.start(run)
        with studio.sessions.begin() as db:
            regenerations.give_back(db, [(run, work.attempt)])
    assert studio.run(run).state is RunState.QUEUED
    assert studio.run(run).failures == 0


def test_what_waits_without_a_job_gets_one(studio: Studio, run: int) -> None:
    assert not studio.recover(), "its job waits"
    with studio.sessions.begin() as db:
        db.execute(text("DELETE FROM procrastinate_jobs"))
    assert studio.recover().deferred == (run,)
    assert studio.jobs() == 1


def test_a_worker_that_is_paused_in_a_transaction_loses_its_locks(studio: Studio, run: int) -> None:
    work = studio.start(run)
    engine = make_engine(studio.url, pool=1, idle_in_transaction_s=0.2)
    try:
        with engine.connect() as paused:
            paused.execute(
                text("SELECT 1 FROM regenerations WHERE id = :run FOR UPDATE"), {"run": run}
            )
            deadline = time.monotonic() + 20
            with studio.sessions.begin() as db:
                while regenerations.append(db, [portion(work, 0, "x")], lease_s=60) != {
                    run: WRITTEN
                }:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            with pytest.raises(DBAPIError) as refused:
                paused.execute(text("SELECT 1"))
            # The writer takes it for a database that was away, and tries again.
            assert refused.value.connection_invalidated
    finally:
        engine.dispose()
