"""What a model's tokens say travels with the segments: weighed once, stored in the same insert."""

import asyncio
import math
from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import select

from app.domain.certainty import Token
from app.domain.prompts import ChatPrompt
from app.domain.segments import Cutting, Rule, RuleKind
from app.models import RunState, Segment
from app.regenerations import Cut, Ending, Work
from tests.worker.conftest import Studio, until
from tests.worker.test_process import Scripted
from worker.engine import Delta
from worker.streams import Release, Stream

SURE, UNSURE = -0.1, math.log(0.1)
PARAGRAPHS = Rule(RuleKind.PARAGRAPHS)


def stream(*, kept: str = "", cut: int = 0) -> Stream:
    """An attempt at a text of paragraphs."""
    return Stream(
        Work(
            regeneration_id=1,
            attempt=1,
            draft_id=1,
            sample_id=1,
            anchor_id=1,
            prompt=ChatPrompt("", (), "Write.", kept),
            cutting=Cutting(PARAGRAPHS),
            before="Before.\n\n",
            kept=kept,
            cut=cut,
            settings={},
        )
    )


def tokens(at: int, *pieces: tuple[str, float]) -> tuple[Token, ...]:
    """Tokens one after the other, the first at `at` of the attempt's own text."""
    found = []
    for piece, logprob in pieces:
        found.append(Token(at, at + len(piece), logprob))
        at += len(piece)
    return tuple(found)


def means(cuts: list[Cut]) -> list[float | None]:
    return [one.certainty.mean if one.certainty else None for one in cuts]


def test_a_segment_takes_its_own_tokens() -> None:
    writing = stream()
    writing.feed("One.\n\nTw", tokens(0, ("One", SURE), (".\n\n", UNSURE), ("Tw", UNSURE)))
    assert means(writing.cuts) == [pytest.approx((SURE + UNSURE) / 2)]
    writing.feed("o.", tokens(8, ("o.", SURE)))
    writing.end(Ending("stop"))
    assert means(writing.cuts)[1] == pytest.approx((SURE + UNSURE) / 2)
    assert writing.cuts[1].certainty is not None
    (word,) = writing.cuts[1].certainty.weak
    assert (word.start, word.end) == (0, 3)


def test_a_segment_waits_for_tokens_that_come_after_their_text() -> None:
    writing = stream()
    writing.feed("One.\n", ())
    writing.feed("\nTwo", tokens(0, ("One", SURE)))
    assert writing.cuts == []
    writing.feed("", tokens(3, (".\n\n", UNSURE), ("Two", SURE)))
    assert means(writing.cuts) == [pytest.approx((SURE + UNSURE) / 2)]


def test_tokens_that_stay_away_are_waited_for_once() -> None:
    """As from a server that masks a token: after it no more come."""
    writing = stream()
    writing.feed("One.\n\n", tokens(0, ("One", SURE)))
    writing.feed("Two, " * 30)
    assert writing.cuts == []
    writing.feed("and so on, " * 30)
    assert means(writing.cuts) == [None]
    writing.feed(".\n\nThree")
    assert means(writing.cuts) == [None, None]


def test_an_engine_without_tokens_is_not_waited_for() -> None:
    writing = stream()
    writing.feed("One.\n\nTwo.\n\nThree")
    assert means(writing.cuts) == [None, None]


def test_what_is_complete_leaves_with_an_attempt_that_is_given_back() -> None:
    writing = stream()
    writing.feed("One.\n\nTwo", tokens(0, ("One", SURE)))
    writing.hand_back(Release())
    assert [one.text for one in writing.cuts] == ["One.\n\n"]
    assert means(writing.cuts) == [None]


def test_of_a_segment_that_another_attempt_began_nothing_is_known() -> None:
    writing = stream(kept="One.\n\nTwo is", cut=6)
    said = (" here", UNSURE), (".\n\n", SURE), ("Three", SURE), (".", SURE)
    writing.feed(" here.\n\nThree.", tokens(0, *said))
    writing.end(Ending("stop"))
    assert [one.text for one in writing.cuts] == ["Two is here.\n\n", "Three."]
    assert means(writing.cuts) == [None, pytest.approx(SURE)]


def test_tokens_are_kept_no_longer_than_their_segment_is_open() -> None:
    writing = stream()
    at = 0
    for _ in range(200):
        pieces = (("Some", SURE), (" words", SURE), (".\n\n", SURE))
        writing.feed("Some words.\n\n", tokens(at, *pieces))
        at += len("Some words.\n\n")
    assert len(writing.cuts) == 199
    assert len(writing._scales._tokens) == 3


SAID = (("The", SURE), (" crane", UNSURE), (" lifts", SURE), (".\n\n", SURE), ("It", SURE))
REST = ((" rests", UNSURE), (".", SURE))


async def say(work: Work) -> AsyncGenerator[Delta, None]:
    """Two paragraphs, in two portions."""
    first = "".join(piece for piece, _ in SAID)
    yield Delta(first, tokens=tokens(0, *SAID))
    yield Delta(" rests.", "stop", tokens(len(first), *REST))


def test_the_certainty_of_each_segment_is_stored(studio: Studio) -> None:
    studio.new_draft(["One.\n\n", "Two.\n\n"], rule=RuleKind.PARAGRAPHS)

    async def scenario() -> int:
        async with studio.worker(Scripted(say)):
            run = studio.correct(1, "One", "First")
            await until(studio.is_now(run, RunState.DONE))
        return run

    run = asyncio.run(scenario())
    assert studio.segments(run) == ["The crane lifts.\n\n", "It rests."]
    with studio.sessions() as db:
        rows = db.scalars(
            select(Segment).where(Segment.regeneration_id == run).order_by(Segment.depth)
        ).all()
    assert rows[0].certainty == pytest.approx((3 * SURE + UNSURE) / 4)
    assert rows[1].certainty == pytest.approx((2 * SURE + UNSURE) / 3)
    assert rows[0].weak_words == [[4, 9, round(UNSURE, 4)]]
    assert rows[1].weak_words == [[3, 8, round(UNSURE, 4)]]


def test_a_replayed_segment_has_none(studio: Studio) -> None:
    async def scenario() -> int:
        async with studio.worker():
            run = studio.correct(6, "the", "the very")
            await until(studio.is_now(run, RunState.DONE))
        return run

    run = asyncio.run(scenario())
    with studio.sessions() as db:
        found = db.execute(
            select(Segment.certainty, Segment.weak_words).where(Segment.regeneration_id == run)
        ).all()
    assert found
    assert all(row == (None, None) for row in found)
