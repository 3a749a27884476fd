"""Workers that write only as much as is read soon, and give up in time."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from app import regenerations
from app.annotation.edits import choice
from app.domain.segments import Rule, RuleKind, split
from app.models import Project, Regeneration, RunState, Segment, now
from app.regenerations import Cut, Outcome, Portion, Work
from tests.worker.conftest import Studio, lecture, until
from tests.worker.test_process import AFTER_3, Scripted, play
from worker.engine import Delta

LOST, WRITTEN = Outcome.LOST, Outcome.WRITTEN
TEXTS = {
    RuleKind.SLIDES: "".join(f"## Slide {n}\nText {n}.\n\n" for n in range(1, 8)),
    RuleKind.HEADINGS: "".join(f"# Part {n}\n\nText {n}.\n\n" for n in range(1, 8)),
    RuleKind.PARAGRAPHS: "".join(f"Paragraph {n}\nof two lines.\n\n" for n in range(1, 8)),
    RuleKind.SENTENCES: "".join(
        f"Sentence {n} has some words, eleven in all, to count. " for n in range(1, 8)
    ),
    RuleKind.LINES: "".join(f"Line {n}.\n" for n in range(1, 8)),
    RuleKind.GROUPS: "".join(f"Six words are in paragraph {n}.\n\n" for n in range(1, 15)),
}


def configure(studio: Studio, rule: RuleKind | None = None, **generation: int) -> None:
    """Give the projects these generation settings, and a rule."""
    with studio.sessions.begin() as db:
        db.execute(update(Project).values(generation=generation))
        if rule is not None:
            db.execute(update(Project).values(rule=rule, rule_words=10))


def write_on(studio: Studio, run: int) -> bool:
    with studio.sessions.begin() as db:
        return choice.write_on(db, draft=studio.draft(db), regeneration_id=run)


def offered(studio: Studio, run: int) -> list[Segment]:
    with studio.sessions() as db:
        return list(regenerations.candidates(db, db.get_one(Regeneration, run)))


def choose(studio: Studio, run: int, segment_id: int) -> None:
    with studio.sessions.begin() as db:
        draft = studio.draft(db)
        choice.choose(
            db,
            draft=draft,
            base_version=draft.version,
            regeneration_id=run,
            segment_id=segment_id,
        )


def letters(whole: str) -> Scripted:
    """An engine that has this to say, letter by letter, from where the kept text ends; then stops.

    After a boundary it would go on for ever: who wants no more must close it.
    """

    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        for letter in whole[len(work.kept) :]:
            yield Delta(letter)
            await asyncio.sleep(0)
        yield Delta("", stop_reason="stop")

    return Scripted(say)


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("rule", TEXTS)
def test_it_stops_at_the_boundary_and_goes_on_as_if_it_had_not(
    studio: Studio, rule: RuleKind, ahead: int
) -> None:
    whole = TEXTS[rule]
    expected = [piece.text for piece in split(whole, Rule(rule, 10), images=3)]
    configure(studio, rule, look_ahead=ahead)
    engine = letters(whole)

    async def scenario() -> None:
        async with studio.worker(engine):
            run = studio.correct(3, "captivating realm", "wide field")
            had = 0
            while studio.run(run).state is not RunState.DONE:
                await until(lambda: studio.run(run).state in (RunState.WAITING, RunState.DONE))
                if studio.run(run).state is RunState.DONE:
                    break
                had += ahead
                assert studio.segments(run) == expected[:had]
                assert engine.closed == len(engine.asked), "the engine is left"
                assert studio.run(run).wanted == had
                assert write_on(studio, run)
            assert studio.segments(run) == expected
            assert studio.written(run) == whole
            assert studio.run(run).number == 2

    play(scenario)


def test_a_text_that_ends_with_the_last_wanted_segment_has_ended(studio: Studio) -> None:
    configure(studio, look_ahead=1)

    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        yield Delta("## Slide 4\nOne.\n\n## Slide 5\nTwo.", stop_reason="stop")

    async def scenario() -> None:
        async with studio.worker(Scripted(say)):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.DONE))

    play(scenario)


def test_two_tabs_that_reach_the_end_at_once_have_it_go_on_once(studio: Studio) -> None:
    configure(studio, look_ahead=1)
    run = studio.correct(3, "captivating realm", "wide field")
    work = studio.start(run)
    studio.append(
        Portion(
            run, work.attempt, 0, "A\n", (Cut(2, "A\n", None),), regenerations.Ending(waits=True)
        )
    )
    jobs = studio.jobs()
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(write_on(studio, run))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 5 + [True]
    assert (studio.run(run).wanted, studio.jobs()) == (2, jobs + 1)


def test_whoever_wrote_before_the_wait_changes_nothing_after_it(studio: Studio) -> None:
    configure(studio, look_ahead=1)
    run = studio.correct(3, "captivating realm", "wide field")
    zombie = studio.start(run)
    studio.append(
        Portion(run, 1, 0, "A\n", (Cut(2, "A\n", None),), regenerations.Ending(waits=True))
    )
    assert studio.append(Portion(run, zombie.attempt, 2, "late")) == [LOST]
    studio.end_lease(run)
    assert not studio.recover(), "nobody needs to hand on what nobody holds"
    write_on(studio, run)
    assert studio.append(Portion(run, zombie.attempt, 2, "late")) == [LOST]
    work = studio.start(run)
    assert studio.append(Portion(run, zombie.attempt, 2, "late")) == [LOST]
    assert (work.attempt, work.tries, work.kept, work.room) == (2, 1, "A\n", 1)
    assert studio.written(run) == "A\n"


def test_the_replay_goes_on_after_a_correction_of_the_last_segment_it_waits_at(
    studio: Studio,
) -> None:
    configure(studio, look_ahead=2)

    async def scenario() -> None:
        async with studio.worker():
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.WAITING))
            assert studio.segments(run) == AFTER_3[:2]
            configure(studio)
            last = studio.correct(5, AFTER_3[1].split()[5], "Zebra")
            await until(studio.is_now(last, RunState.DONE))
            assert len(studio.segments(last)) == len(lecture(8)) - 5

    play(scenario)


def take_longer(studio: Studio, run: int, *, seconds: float, spent_s: float = 0) -> None:
    with studio.sessions.begin() as db:
        row = db.get_one(Regeneration, run)
        row.attempt_at, row.spent_s = now() - timedelta(seconds=seconds), spent_s


def recover(studio: Studio) -> regenerations.Recovered:
    with studio.sessions.begin() as db:
        return regenerations.recover(db, timeout_s=1800)


def test_what_is_written_for_too_long_has_failed_and_keeps_its_text(studio: Studio) -> None:
    run = studio.correct(3, "captivating realm", "wide field")
    work = studio.start(run)
    studio.append(Portion(run, work.attempt, 0, "Half a sen"))
    take_longer(studio, run, seconds=1700)
    assert not recover(studio)
    take_longer(studio, run, seconds=200, spent_s=1700)
    assert recover(studio).timed_out == (run,)
    row = studio.run(run)
    assert row.state is RunState.FAILED
    assert row.error is not None
    assert row.error.startswith("Writing this text took longer than 30 minutes")
    assert studio.segments(run) == ["Half a sen"]
    assert studio.append(Portion(run, work.attempt, 10, "late")) == [LOST]


def test_the_time_of_attempts_adds_up_and_waiting_does_not(studio: Studio) -> None:
    configure(studio, look_ahead=1)
    run = studio.correct(3, "captivating realm", "wide field")
    work = studio.start(run)
    take_longer(studio, run, seconds=1000)
    with studio.sessions.begin() as db:
        regenerations.give_back(db, [(run, work.attempt)])
    assert 999 < studio.run(run).spent_s < 1060
    assert not recover(studio).timed_out
    again = studio.start(run)
    take_longer(studio, run, seconds=700, spent_s=studio.run(run).spent_s)
    studio.append(
        Portion(
            run, again.attempt, 0, "A\n", (Cut(2, "A\n", None),), regenerations.Ending(waits=True)
        )
    )
    take_longer(studio, run, seconds=9000, spent_s=9000)
    assert not recover(studio), "it waits for its annotator"
    write_on(studio, run)
    studio.start(run)
    assert not recover(studio), "a person has asked for more: a new count"


def test_a_text_that_takes_too_long_is_left_by_the_engine(studio: Studio) -> None:
    studio.settings = studio.settings.model_copy(update={"regeneration_timeout_s": 2})

    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        while True:
            yield Delta("word ")
            await asyncio.sleep(0.02)

    async def scenario() -> None:
        engine = Scripted(say)
        async with studio.worker(engine):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.FAILED))
            await until(lambda: engine.closed == 1)
            assert "".join(studio.segments(run)).startswith("word word")

    play(scenario)


def test_the_engine_is_told_who_comes_first(studio: Studio) -> None:
    run = studio.correct(3, "captivating realm", "wide field")
    with studio.sessions.begin() as db:
        db.execute(update(Regeneration).values(priority=6))
    assert studio.start(run).behind == 4


def test_a_job_that_is_put_off_or_handed_on_keeps_its_place(studio: Studio) -> None:
    run = studio.correct(3, "captivating realm", "wide field")
    with studio.sessions.begin() as db:
        db.execute(update(Regeneration).values(priority=6))
        db.execute(text("DELETE FROM procrastinate_jobs"))
        regenerations.put_off(db, regeneration_id=run, delay_s=0)
    studio.start(run)
    studio.end_lease(run)
    studio.recover()
    with studio.sessions() as db:
        places = db.scalars(text("SELECT priority FROM procrastinate_jobs")).all()
    assert places == [6, 6]
