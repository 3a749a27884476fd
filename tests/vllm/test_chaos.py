"""200 regenerations by two workers and two vLLM servers, while everything is killed and paused.

One worker starts and supervises a vLLM of its own (`iterdpo worker --vllm`), the other uses the
server of these tests; servers, workers, app and database are real processes. The order of events
comes from CHAOS_SEED; what they meet depends on the machine, so a run cannot be repeated exactly.
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import text

from tests.support.studio import Studio, studio
from tests.vllm.chaos.annotators import Asked, Office
from tests.vllm.chaos.blows import LEASE_S, OWN, SHARED, Storm
from tests.vllm.chaos.scene import GENERATION, TIMEOUT_S, furnish, play, story
from tests.vllm.chaos.verdict import (
    Fate,
    check_fate,
    check_reader,
    check_rows,
    check_words,
    fate_of,
)
from tests.vllm.records import said_by_servers
from tests.vllm.serving import ENVIRONMENT, FLAGS, START_S, Running
from tests.vllm.talking import engine_at, tell
from worker.openai import Ask, Sampling
from worker.vllm import State

SEED = int(os.environ.get("CHAOS_SEED", "20261125"))
REGENERATIONS = 200
# The first test waits for everything, three starts of vLLM among it.
pytestmark = pytest.mark.timeout(START_S + TIMEOUT_S + 300)


@dataclass
class Chaos:
    """What was left behind."""

    house: Studio
    office: Office
    blows: list[str]
    seconds: float


@pytest.fixture(scope="module")
def chaos(vllm: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    """The storm, waited out: everything has been asked for, and everybody has read to the end."""
    rng = random.Random(SEED)
    settings = {
        "ITERDPO_LEASE_S": str(LEASE_S),
        "ITERDPO_ENGINE": "openai",
        "ITERDPO_ENGINE_URL": vllm.url,
        **ENVIRONMENT,
        "RECORDS": str(vllm.records),
    }
    with studio(tmp_path_factory.mktemp("chaos") / "data", **settings) as house:

        def start(name: str) -> None:
            words = ("--vllm", str(vllm.model), "--", *FLAGS) if name == OWN else ()
            house.start(name, *words)

        drafts = furnish(house)
        with house.sessions.begin() as db:
            # Other tests' regenerations stand in the same server's records: these have other ids.
            db.execute(text("ALTER TABLE regenerations ALTER COLUMN id RESTART WITH 1000001"))
        for name in (OWN, SHARED, "app"):
            start(name)
        office = Office(house, REGENERATIONS)
        print(f"CHAOS_SEED={SEED}")
        began = time.monotonic()
        blows = asyncio.run(play(office, Storm(house, vllm, office, rng, start), drafts, rng))
        seconds = time.monotonic() - began
        # Whoever comes next needs the server.
        while vllm.server.state is not State.SERVING:
            assert vllm.server.state is not State.FAILED, vllm.server.problem
            time.sleep(0.1)
        yield Chaos(house, office, blows, seconds)


@pytest.fixture(scope="module")
def fates(chaos: Chaos) -> list[tuple[Asked, Fate]]:
    """Each regeneration that was asked for, and what has become of it."""
    print(f"{', '.join(chaos.blows)}\n{story(chaos.office)}\n{chaos.seconds:.0f} s")
    with chaos.house.sessions() as db:
        return [(asked, fate_of(db, asked.run_id)) for asked in chaos.office.asked]


def test_no_request_is_lost_and_none_was_never_made(chaos: Chaos) -> None:
    assert len(chaos.office.asked) == REGENERATIONS
    with chaos.house.sessions() as db:
        check_rows(db, chaos.office.asked, chaos.office.undone)


def test_every_regeneration_ends_with_a_reason(
    chaos: Chaos, fates: list[tuple[Asked, Fate]]
) -> None:
    with chaos.house.sessions() as db:
        for asked, fate in fates:
            with named(asked):
                check_fate(db, fate, asked)


def test_every_word_was_said_to_the_attempt_that_wrote_it(
    vllm: Running, fates: list[tuple[Asked, Fate]]
) -> None:
    said = said_by_servers(vllm.records)
    several = 0
    for asked, fate in fates:
        with named(asked):
            several += check_words(fate, said) > 1
    assert several > 10, "the blows have hit too little for this to mean anything"


def test_readers_are_told_every_word_once_and_in_order(fates: list[tuple[Asked, Fate]]) -> None:
    for asked, fate in fates:
        with named(asked):
            check_reader(fate, asked)
    assert sum(asked.reader.connections for asked, _ in fates) > 1.2 * REGENERATIONS


def test_no_job_is_left_and_no_request_of_what_was_rolled_back(chaos: Chaos, vllm: Running) -> None:
    deadline = time.monotonic() + 30
    while left := jobs(chaos.house):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    for run_id in chaos.office.undone:
        assert f"regeneration-{run_id}-1" not in said_by_servers(vllm.records)


def jobs(house: Studio) -> list[tuple[object, ...]]:
    """Jobs of regenerations that wait or that somebody seems to be at."""
    with house.sessions() as db:
        rows = db.execute(
            text(
                "SELECT id, status, args FROM procrastinate_jobs "
                "WHERE task_name = 'regenerate' AND status IN ('todo', 'doing')"
            )
        )
        return [tuple(row) for row in rows]


def test_the_last_attempt_wrote_what_an_undisturbed_server_writes(
    vllm: Running, fates: list[tuple[Asked, Fate]]
) -> None:
    """The same prompt, the same seed: the same text, for those that took most attempts."""
    said = said_by_servers(vllm.records)
    # The limit of tokens is another one when it is asked again: what was kept counts in it.
    done = [fate for _, fate in fates if fate.run.stop_reason == "stop"]
    done.sort(key=lambda fate: -fate.run.attempt)

    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:
            for fate in done[:12]:
                last = said[f"regeneration-{fate.run.id}-{fate.run.attempt}"][-1]
                prompt = replace(fate.prompt, prefix=last.prefix)
                sampling = Sampling.of(GENERATION, regeneration_id=fate.run.id)
                told = await tell(engine, Ask(prompt, sampling, "again"))
                assert last.prefix + told.text == fate.before + fate.text

    asyncio.run(scenario())


@contextmanager
def named(asked: Asked) -> Iterator[None]:
    """Says which regeneration it was that something does not hold of."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"regeneration {asked.run_id} of draft {asked.draft_id}, to {asked.wish}")
        raise
