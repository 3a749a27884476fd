"""Workers and adapters: loaded, written with, refused, checked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.models import Policy, Worker
from app.policies import queries, service
from app.policies.queries import Use
from tests.support.adapters import make_adapter
from tests.worker.conftest import Studio, until
from tests.worker.openai.adapting import CHAT, LOAD, Adapting
from tests.worker.openai.rounds import (
    OTHER,
    activated,
    added,
    corrected,
    done,
    is_used,
    play,
    serving,
    use,
)
from tests.worker.openai.scripted import Answer
from worker.openai import OpenAIEngine


def test_new_regenerations_use_it_and_a_running_one_finishes_on_the_old(
    studio: Studio, tmp_path: Path
) -> None:
    policy = added(studio, tmp_path, "round-1")

    async def scenario() -> None:
        server = Adapting(hold=asyncio.Event())
        async with serving(server) as (engine, asked), studio.worker(engine):
            running = corrected(studio)
            await until(lambda: studio.run(running).written > 0)
            activated(studio, policy)
            await until(is_used(studio, policy, Use.WRITING))
            new = corrected(studio)
            await until(lambda: studio.run(new).written > 0)
            assert server.hold is not None
            server.hold.set()
            assert (await done(studio, running)).startswith("lecturer@")
            assert await done(studio, new) == "round-1"
            name = asked.bodies(LOAD)[0]["lora_name"]
            assert [b["model"] for b in asked.bodies(CHAT) if b.get("stream")] == ["lecturer", name]
            assert studio.segments(new) == [f"By {name}. End."]
            assert name.startswith("round-1-")
            with studio.sessions() as db:
                row = db.get_one(Policy, policy)
                base = db.scalars(select(Policy).where(Policy.served_name == "lecturer")).one()
                assert row.template_hash == base.template_hash != ""

    play(scenario)


def test_deactivated_the_base_model_writes_again(studio: Studio, tmp_path: Path) -> None:
    policy = added(studio, tmp_path, "round-1")
    activated(studio, policy)

    async def scenario() -> None:
        async with serving(Adapting()) as (engine, _), studio.worker(engine):
            assert await done(studio, corrected(studio)) == "round-1"
            with studio.sessions.begin() as db:
                service.deactivate(db, policy_id=policy)
            await until(is_used(studio, policy, Use.IDLE))
            assert (await done(studio, corrected(studio))).startswith("lecturer@")

    play(scenario)


def test_two_workers_with_two_servers_both_load_it(studio: Studio, tmp_path: Path) -> None:
    policy = added(studio, tmp_path, "round-1")

    async def scenario() -> None:
        one, two = Adapting(), Adapting()
        async with serving(one) as (first, _), serving(two) as (second, _):
            async with studio.worker(first):
                await until(lambda: workers(studio) == 1)
                async with another_worker(studio, second):
                    activated(studio, policy)
                    await until(is_used(studio, policy, Use.WRITING))
                    assert len(use(studio, policy).workers) == 2
            assert one.loaded == two.loaded != {}

    play(scenario)


@asynccontextmanager
async def another_worker(studio: Studio, engine: OpenAIEngine) -> AsyncIterator[None]:
    """A worker on another host, as far as its name goes: they share this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "another")
        worker = studio.worker(engine)
        await worker.__aenter__()
        await until(lambda: workers(studio) == 2)
    yield
    await worker.__aexit__(None, None, None)


def workers(studio: Studio) -> int:
    with studio.sessions() as db:
        return len(db.scalars(select(Worker)).all())


def test_a_server_that_has_it_already_is_fine(studio: Studio, tmp_path: Path) -> None:
    policy = added(studio, tmp_path, "round-1")
    activated(studio, policy)

    async def scenario() -> None:
        server = Adapting()
        for _ in range(2):
            async with serving(server) as (engine, _), studio.worker(engine):
                assert await done(studio, corrected(studio)) == "round-1"
        assert len(server.loaded) == 1

    play(scenario)


NOT_FOUND = {"detail": "Not Found"}
RANK = {
    "error": {"message": "Call to add_lora failed: LoRA rank 64 is greater than max_lora_rank 16."}
}
MISSING = {"error": {"message": "Loading lora round-1 failed: No adapter found for <path>"}}
DISABLED = {"error": {"message": "LoRA is not enabled. Use --enable-lora to enable LoRA."}}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, NOT_FOUND, "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"),
        (500, DISABLED, "The model server does not accept adapters: start it with --enable-lora"),
        (500, RANK, "accepts ranks up to 16. Start it with --max-lora-rank 64"),
        (404, MISSING, "/round-2. The directory must have the same path"),
        (500, OTHER, "It says: The sky fell."),
    ],
)
def test_a_server_that_cannot_load_it_says_why_and_what_was_before_goes_on(
    studio: Studio, tmp_path: Path, status: int, body: object, words: str
) -> None:
    first, second = (
        added(studio, tmp_path, "round-1"),
        added(studio, tmp_path, "round-2", weights=b"others"),
    )
    activated(studio, first)

    async def scenario() -> None:
        server = Adapting()
        async with serving(server) as (engine, _), studio.worker(engine):
            await until(is_used(studio, first, Use.WRITING))
            server.refusal = (status, body)
            server.loaded.clear()
            server.loaded["x"] = "y"
            activated(studio, second)
            await until(is_used(studio, second, Use.REFUSED))
            assert words in next(iter(use(studio, second).refusals.values()))

    play(scenario)


def test_what_was_active_before_writes_while_the_new_one_is_refused_also_after_a_restart(
    studio: Studio, tmp_path: Path
) -> None:
    first = added(studio, tmp_path, "round-1")
    second = added(studio, tmp_path, "round-2", weights=b"others")

    async def scenario() -> None:
        server = Refusing()
        async with serving(server) as (engine, _), studio.worker(engine):
            activated(studio, first)
            await until(is_used(studio, first, Use.WRITING))
            activated(studio, second)
            await until(is_used(studio, second, Use.REFUSED))
            assert await done(studio, corrected(studio)) == "round-1"
        server.loaded.clear()
        async with serving(server) as (engine, _), studio.worker(engine):
            assert await done(studio, corrected(studio)) == "round-1"
            server.willing = True
            activated(studio, second)
            await until(is_used(studio, second, Use.WRITING))
            assert await done(studio, corrected(studio)) == "round-2"

    play(scenario)


@dataclass
class Refusing(Adapting):
    """Takes no second round until it is willing."""

    willing: bool = False

    async def _load(self, body: dict[str, Any], answer: Answer) -> None:
        if body["lora_name"].startswith("round-2") and not self.willing:
            await answer.json(RANK, 500)
        else:
            await super()._load(body, answer)


def test_files_that_were_changed_are_not_loaded(studio: Studio, tmp_path: Path) -> None:
    policy = added(studio, tmp_path, "round-1")
    make_adapter(tmp_path / "round-1", weights=b"changed")

    async def scenario() -> None:
        server = Adapting()
        async with serving(server) as (engine, asked), studio.worker(engine):
            activated(studio, policy)
            await until(is_used(studio, policy, Use.REFUSED))
            assert "have changed since" in next(iter(use(studio, policy).refusals.values()))
            assert asked.bodies(LOAD) == []
            assert (await done(studio, corrected(studio))).startswith("lecturer@")

    play(scenario)


def test_files_that_the_worker_does_not_see_are_loaded_and_said_to_be_unchecked(
    studio: Studio, tmp_path: Path
) -> None:
    policy = added(studio, tmp_path, "round-1")
    (tmp_path / "round-1").rename(tmp_path / "elsewhere")
    activated(studio, policy)

    async def scenario() -> None:
        async with serving(Adapting()) as (engine, _), studio.worker(engine):
            await until(is_used(studio, policy, Use.WRITING))
            with studio.sessions() as db:
                (worker,) = queries.workers(db)
            assert worker.problem is not None
            assert "cannot check that the files" in worker.problem

    play(scenario)


def test_another_chat_template_is_another_policy(studio: Studio, tmp_path: Path) -> None:
    policy = added(studio, tmp_path, "round-1")
    activated(studio, policy)

    async def scenario() -> None:
        async with serving(Adapting()) as (engine, _), studio.worker(engine):
            await until(is_used(studio, policy, Use.WRITING))
        async with serving(Adapting(template="…other\n")) as (engine, _), studio.worker(engine):
            await until(is_used(studio, policy, Use.REFUSED))
            assert "another chat template" in next(iter(use(studio, policy).refusals.values()))

    play(scenario)
