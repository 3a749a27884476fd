"""A worker at work with the real server: from a correction to segments in the database."""

import asyncio
import time
from itertools import accumulate

import pytest
from sqlalchemy import select, update

from app.domain.segments import RuleKind
from app.models import Policy, Project, RunState, Segment
from tests.vllm.conftest import IMAGES, Running
from tests.vllm.listening import wire
from tests.worker.conftest import Studio, until
from worker.openai import ImageFile, OpenAIEngine

# The ids of <|im_end|> and of an empty line in the tiny model's vocabulary.
END, EMPTY_LINE = "4082", "288"


def image(sha256: str) -> ImageFile:
    """The samples of these tests have images that are only named."""
    return [*IMAGES.values()][int(sha256, 16) % len(IMAGES)]


def write_paragraphs(studio: Studio, **more: bool) -> None:
    """Have the model write paragraphs and come to an end after some of them."""
    generation = {
        "max_tokens": 2000,
        "seed": 1,
        "temperature": 1.0,
        "logit_bias": {EMPTY_LINE: 7.0, END: 8.5},
    }
    with studio.sessions.begin() as db:
        values = {"rule": RuleKind.PARAGRAPHS, "generation": generation | more}
        db.execute(update(Project).values(**values))


@pytest.fixture
def engine(vllm: Running, studio: Studio) -> OpenAIEngine:
    """Asked for paragraphs."""
    write_paragraphs(studio)
    return OpenAIEngine(vllm.url, images=image)


@pytest.mark.parametrize("token_ids", [False, True], ids=["messages", "ids"])
def test_a_correction_is_continued_in_segments_to_the_models_end(
    studio: Studio, engine: OpenAIEngine, token_ids: bool
) -> None:
    with studio.sessions.begin() as db:
        project = db.scalars(select(Project)).one()
        project.generation = {**project.generation, "token_ids": token_ids}

    async def scenario() -> int:
        async with studio.worker(engine):
            run = studio.correct(3, "realm", "world")
            await until(studio.is_now(run, RunState.DONE))
        await engine.aclose()
        return run

    run = asyncio.run(scenario())
    segments = studio.segments(run)
    assert "".join(segments) == studio.written(run)
    assert len(segments) > 1
    assert all(text.endswith("\n\n") for text in segments[:-1])
    assert studio.run(run).stop_reason == "stop"
    with studio.sessions() as db:
        rows = db.scalars(
            select(Segment).where(Segment.regeneration_id == run).order_by(Segment.depth)
        ).all()
        assert [row.ends_output for row in rows] == [False] * (len(rows) - 1) + [True]
        policy = db.get_one(Policy, rows[0].policy_id)
        assert policy.name.startswith("tiny@")
        assert policy.engine == "openai"


@pytest.mark.parametrize("token_ids", [False, True], ids=["messages", "ids"])
def test_each_segment_stores_what_the_server_said_of_its_tokens(
    vllm: Running, studio: Studio, token_ids: bool
) -> None:
    write_paragraphs(studio, token_ids=token_ids)

    async def scenario() -> tuple[int, list[tuple[bytes, float]]]:
        async with wire(vllm.url) as line:
            engine = OpenAIEngine(line.url, images=image)
            async with studio.worker(engine):
                run = studio.correct(3, "realm", "world")
                await until(studio.is_now(run, RunState.DONE))
            await engine.aclose()
            return run, line.logprobs(f"regeneration-{run}-1")

    run, said = asyncio.run(scenario())
    starts = [*accumulate((len(token) for token, _ in said), initial=0)]
    with studio.sessions() as db:
        segments = db.scalars(
            select(Segment).where(Segment.regeneration_id == run).order_by(Segment.depth)
        ).all()
    assert len(segments) > 1
    begin = 0
    for segment in segments:
        end = begin + len(segment.text.encode())
        own = [
            logprob
            for start, (_, logprob) in zip(starts, said, strict=False)
            if begin <= start < end
        ]
        assert segment.certainty == pytest.approx(sum(own) / len(own), abs=1e-6)
        assert segment.weak_words is not None
        for first, last, logprob in segment.weak_words:
            word = segment.text[int(first) : int(last)]
            at = begin + len(segment.text[: int(first)].encode())
            tokens = [
                logprob
                for start, (token, logprob) in zip(starts, said, strict=False)
                if start < at + len(word.encode()) and start + len(token) > at
            ]
            assert word
            assert logprob == pytest.approx(sum(tokens), abs=1e-3)
        begin = end
    # A model that knows nothing is unsure of nearly every word.
    assert any(segment.weak_words for segment in segments)


def test_a_project_can_do_without(studio: Studio, engine: OpenAIEngine) -> None:
    write_paragraphs(studio, certainty=False)

    async def scenario() -> int:
        async with studio.worker(engine):
            run = studio.correct(3, "realm", "world")
            await until(studio.is_now(run, RunState.DONE))
        await engine.aclose()
        return run

    run = asyncio.run(scenario())
    with studio.sessions() as db:
        known = select(Segment.certainty).where(Segment.regeneration_id == run)
        assert {*db.scalars(known)} == {None}


def test_stop_reaches_the_server(studio: Studio, engine: OpenAIEngine, vllm: Running) -> None:
    """Within 300 ms of the annotator's commit; the best of three."""
    with studio.sessions.begin() as db:
        project = db.scalars(select(Project)).one()
        project.generation = {"max_tokens": 8000, "logit_bias": {EMPTY_LINE: 7.0}}

    async def stopped_after_s() -> float:
        run = await asyncio.to_thread(studio.correct, 3, "the", "THE")
        await until(lambda: studio.run(run).written > 100)
        assert await asyncio.to_thread(vllm.metric, "vllm:num_requests_running") == 1
        await asyncio.to_thread(studio.stop, run)
        began = time.perf_counter()
        while await asyncio.to_thread(vllm.metric, "vllm:num_requests_running"):
            assert time.perf_counter() - began < 10
        took = time.perf_counter() - began
        assert studio.run(run).state is RunState.CANCELLED
        assert "".join(studio.segments(run)) == studio.written(run)
        return took

    async def scenario() -> None:
        async with studio.worker(engine):
            assert min([await stopped_after_s() for _ in range(3)]) < 0.3
        await engine.aclose()

    asyncio.run(scenario())
