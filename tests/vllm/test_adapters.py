"""Rounds of adapters with the real server: activated, written with, refused."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import aclosing, nullcontext
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.annotation.edits import correction as annotation
from app.annotation.edits.path import Path as TreePath
from app.domain.filters import PairFilter
from app.domain.segments import RuleKind
from app.exports.reader import BATCH, read_pairs
from app.exports.selection import select_pairs
from app.models import Policy, Project, RunState, Segment
from app.policies import queries, service
from app.policies.fingerprint import adapter_hash
from app.policies.loading import Adapter
from app.policies.queries import Use
from tests.support.adapters import add_adapter
from tests.vllm.conftest import IMAGES, Running
from tests.vllm.talking import ask
from tests.worker.conftest import Studio, until
from worker.engine import AdapterError
from worker.openai import ImageFile, OpenAIEngine

EMPTY_LINE = "288"


def image(sha256: str) -> ImageFile:
    """The samples of these tests have images that are only named."""
    return [*IMAGES.values()][int(sha256, 16) % len(IMAGES)]


@pytest.fixture
def adapter(vllm: Running, tmp_path: Path) -> Iterator[Path]:
    """A copy of the adapter, so that nothing else knows its path; unloaded at the end."""
    yield Path(shutil.copytree(vllm.adapter, tmp_path / "round-1"))
    for one in vllm.client.get("/v1/models").json()["data"]:
        if one.get("parent"):
            vllm.client.post("/v1/unload_lora_adapter", json={"lora_name": one["id"]})


def is_used(studio: Studio, policy_id: int, how: Use) -> Callable[[], bool]:
    def holds() -> bool:
        with studio.sessions() as db:
            return queries.use_of(db, policy_id).use is how

    return holds


def test_a_new_round_writes_what_is_asked_for_from_now_on(
    studio: Studio, vllm: Running, adapter: Path
) -> None:
    with studio.sessions.begin() as db:
        policy_id = add_adapter(db, adapter, name="round-1", base="tiny").id

    def correct(tokens: int) -> int:
        generation = {"max_tokens": tokens, "seed": 1, "logit_bias": {EMPTY_LINE: 6.0}}
        studio.new_draft(["One.\n\n", "Two.\n\n", "Three."])
        with studio.sessions.begin() as db:
            db.execute(update(Project).values(rule=RuleKind.PARAGRAPHS, generation=generation))
        return studio.correct(1, "One", "Uno")

    async def scenario() -> tuple[int, int]:
        engine = OpenAIEngine(vllm.url, images=image)
        async with studio.worker(engine):
            running = await asyncio.to_thread(correct, 800)
            await until(lambda: studio.run(running).written > 0)
            with studio.sessions.begin() as db:
                service.activate(db, policy_id=policy_id)
            await until(is_used(studio, policy_id, Use.WRITING))
            assert studio.run(running).state is RunState.RUNNING
            new = await asyncio.to_thread(correct, 150)
            for run in (running, new):
                await until(studio.is_now(run, RunState.DONE), within_s=200)
        await engine.aclose()
        return running, new

    running, new = asyncio.run(scenario())
    with studio.sessions() as db:
        wrote = {
            run: set(
                db.scalars(
                    select(Policy.name)
                    .join(Segment, Segment.policy_id == Policy.id)
                    .where(Segment.regeneration_id == run)
                )
            )
            for run in (running, new)
        }
        assert wrote[new] == {"round-1"}
        assert len(wrote[running]) == 1
        assert wrote[running].pop().startswith("tiny@")
    assert studio.written(running) != studio.written(new)
    with studio.sessions.begin() as db:
        # The new text is corrected in its turn: the pair's rejected side is the new round's.
        draft = studio.draft(db)
        step = next(
            one
            for one in TreePath.load(db, studio.run(new).leaf_id).steps
            if one.regeneration_id == new
        )
        annotation.correct(
            db,
            draft=draft,
            base_version=draft.version,
            segment_id=step.id,
            text="Better.",
            rewrite=False,
        )
        project = db.scalars(select(Project).order_by(Project.id.desc()).limit(1)).one()
        chosen = select_pairs(db, PairFilter(), [project.id])
        read = read_pairs(lambda: nullcontext(db), chosen.batches(BATCH))
        found = [one.pair.policy for one in read]
        assert "round-1" in found
        counted = {one.name: one for one in queries.policies(db)}["round-1"]
        assert counted.segments == len(studio.segments(new))
        assert counted.pairs == 1


@pytest.mark.parametrize("by_ids", [False, True], ids=["messages", "ids"])
def test_what_the_server_has_lost_it_gets_again(vllm: Running, adapter: Path, by_ids: bool) -> None:
    async def scenario() -> None:
        engine = OpenAIEngine(vllm.url, images=IMAGES.__getitem__)
        one = of(adapter)
        assert await engine.load(one) == await engine.load(one) == ""
        told = []
        for name in ("", one.served_name, one.served_name):
            async with aclosing(
                engine.ask(ask("Look:\n", temperature=0), by_ids=by_ids, adapter=name)
            ) as deltas:
                told.append("".join([delta.text async for delta in deltas]))
            gone = {"lora_name": one.served_name}
            vllm.client.post("/v1/unload_lora_adapter", json=gone)
        assert told[0] != told[1] == told[2] != ""
        await engine.aclose()

    asyncio.run(scenario())


def of(directory: Path) -> Adapter:
    """What a worker is told of the adapter there."""
    found = adapter_hash(directory)
    return Adapter(1, "round-1", f"round-1-{found[:12]}", str(directory), found, "", True, True)


def test_a_rank_that_is_too_large_is_said_plainly(vllm: Running, adapter: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"r": 64}))
    refused(vllm, of(adapter), "The adapter's rank is 64, .* up to 16.* --max-lora-rank 64")


def test_a_path_that_the_server_does_not_have_is_said_plainly(vllm: Running, adapter: Path) -> None:
    one = of(adapter)
    adapter.rename(adapter.with_name("elsewhere"))
    refused(vllm, one, f"finds no adapter at {adapter}. The directory must have the same path")


def test_an_adapter_of_another_model_is_said_plainly(vllm: Running, adapter: Path) -> None:
    shutil.copy(vllm.adapter / "adapter_model.safetensors", adapter / "adapter_model.safetensors")
    config = json.loads((adapter / "adapter_config.json").read_text())
    config |= {"target_modules": ["c_attn"]}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    weights = (adapter / "adapter_model.safetensors").read_bytes()
    (adapter / "adapter_model.safetensors").write_bytes(weights.replace(b"q_proj", b"c_attn"))
    refused(vllm, of(adapter), "trained on another model")


def refused(vllm: Running, one: Adapter, words: str) -> None:
    async def scenario() -> None:
        engine = OpenAIEngine(vllm.url, images=IMAGES.__getitem__)
        with pytest.raises(AdapterError, match=words):
            await engine.load(one)
        await engine.aclose()

    asyncio.run(scenario())
    assert vllm.client.get("/health").status_code == 200
