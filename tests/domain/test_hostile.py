"""No text that somebody sends keeps a function busy: steps are counted, and grow as the text does.

Python's steps are counted by the interpreter: lines that run, in our code and in the libraries'.
What C does in one step is timed: a text four times as long may take a few times as long, never
the sixteen times of a square.
"""

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from app.domain.alignment import align
from app.domain.blocks import blocks
from app.domain.diffs import diff, pair_rows
from app.domain.distances import edited
from app.domain.headings import fence_after, is_heading, slide_number
from app.domain.replay import continuation
from app.domain.segments import Rule, RuleKind, split
from app.domain.text import defect, keep_newlines, language, normalise_newlines
from app.domain.words import tokens, words
from tests.domain.hostile import HOSTILE

Function = Callable[[str], object]

# A square of the length would be a hundred times as many steps.
LENGTH, STEPS = 6_000, 60
# What a segment may hold when it is edited.
FULL = 100_000


def parts(text: str) -> list[str]:
    size = len(text) // 40 + 1
    return [text[at : at + size] for at in range(0, len(text), size)]


def rewritten(text: str) -> str:
    half = len(text) // 2
    return f"x{text[:half]}y{text[half + 7 :]}"


LINEAR: dict[str, Function] = {
    "tokens": tokens,
    "words": words,
    "language": language,
    "defect": defect,
    "newlines": normalise_newlines,
    "blocks": lambda text: blocks(tokens(text)),
    "slide": slide_number,
    "heading": is_heading,
    "fence": lambda text: (fence_after(None, text), fence_after("```", text)),
    **{
        f"split by {kind}": _by
        for kind in RuleKind
        for _by in [lambda text, kind=kind: split(text, Rule(kind), images=3)]
    },
}
# These compare, which costs more, up to a bound of their own.
BOUNDED: dict[str, Function] = {
    "diff": lambda text: diff(text, rewritten(text)),
    "keep newlines": lambda text: keep_newlines(text.replace("a", "\r\n"), rewritten(text)),
    "edited": lambda text: edited(text, rewritten(text)[::-1]),
    "align": lambda text: align(parts(text), parts(text[3:])),
    "rows": lambda text: pair_rows(parts(text), parts(text[3:])),
    "replay": lambda text: continuation([text], 0, [(f"Big {text}", f"Small {text[1:]}")]),
}


def steps(work: Callable[[], object]) -> int:
    """How many lines of Python run."""
    count = 0

    def local(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return local

    before = sys.gettrace()
    sys.settrace(local)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def cpu_s(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


@pytest.mark.parametrize("name", HOSTILE)
def test_reading_a_text_takes_steps_by_its_length(name: str) -> None:
    text = HOSTILE[name](LENGTH)
    for what, function in LINEAR.items():
        function(text[:100])  # What is done once, such as compiling, is not counted.
        count = steps(lambda: function(text))  # noqa: B023
        assert count <= STEPS * LENGTH, (what, count)


@pytest.mark.parametrize("name", HOSTILE)
def test_reading_a_text_of_full_length_takes_a_moment(name: str) -> None:
    """Regular expressions do their steps unseen: 100,000 regional indicators took 25 s."""
    text = HOSTILE[name](FULL)
    for what, function in LINEAR.items():
        took = cpu_s(lambda: function(text))  # noqa: B023
        if took > 0.3:  # A slow machine, or a square: a quarter of the text tells them apart.
            took = min(took, cpu_s(lambda: function(text)))  # noqa: B023
            quarter = cpu_s(lambda: function(HOSTILE[name](FULL // 4)))  # noqa: B023
            assert took < 8 * quarter, (what, quarter, took)
        assert took < 5, (what, took)


@pytest.mark.parametrize("name", HOSTILE)
def test_comparing_texts_ends_within_its_budget(name: str) -> None:
    text = HOSTILE[name](20_000)
    for what, function in BOUNDED.items():
        took = cpu_s(lambda: function(text))  # noqa: B023
        assert took < 5, (what, took)


def test_equal_segments_in_thousands_are_put_in_rows_without_comparing_all() -> None:
    old, new = ["a"] * 5_000, ["a"] * 4_000 + ["b"]
    assert steps(lambda: pair_rows(old, new)) < 200_000
    assert len(pair_rows(old, new)) == 5_000


def test_long_segments_are_put_in_rows_without_comparing_all() -> None:
    old = [f"{number} " + "word " * 20_000 for number in range(40)]
    assert steps(lambda: align(old, old[1:])) < 10_000


def test_a_text_written_anew_is_replayed_in_steps_by_its_length() -> None:
    def work(size: int) -> int:
        old = " ".join(f"Alpha{number} same{number}" for number in range(size))
        new = " ".join(f"Beta{number} same{number}" for number in range(size))
        return steps(lambda: continuation([old], 0, [(old, new)]))

    work(10)
    assert work(800) < 6 * work(200)


def test_what_differs_too_much_counts_as_exchanged() -> None:
    old, new = "a" * 100_000, "b" * 100_000
    assert edited(f"same {old} end", f"same {new} end") == 200_000
    assert edited("kitten", "sitting") == 5
