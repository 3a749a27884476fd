"""What begins like a repetition is held back; only what no honest text repeats is refused."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.conftest import lecture
from worker.engine import EngineError, Failure
from worker.openai.seam import LONG, WHOLE, Seam

SLIDES = lecture(8)
TEXT = "".join(SLIDES)
AGAIN = "started the text again"
END = "repeated the end of the text"


def given_on(seam: Seam, said: str, *, size: int = 5) -> list[int]:
    """How much is given on after each piece of so many code points, and at the end."""
    counts, held = [], 0
    for end in range(size, len(said) + size, size):
        if seam.settled(said[:end]):
            held = min(end, len(said))
        counts.append(held)
    if seam.settled(said, ended=True):
        counts.append(len(said))
    return counts


def refused(seam: Seam, said: str) -> str:
    """The sentence; nothing may have been given on before."""

    def played() -> None:
        for end in range(1, len(said) + 1):
            assert not seam.settled(said[:end]), "words of a repetition were given on"
        assert not seam.settled(said, ended=True), "a repetition was given on"

    with pytest.raises(EngineError) as error:
        played()
    assert not error.value.temporary
    assert error.value.reason is Failure.REPEATED
    return error.value.message


@pytest.mark.parametrize("slides", [1, 2, 8])
@pytest.mark.parametrize("before", ["", "\n\n", "  "])
def test_a_text_that_is_echoed_or_begun_again_is_refused(slides: int, before: str) -> None:
    prefix = "".join(SLIDES[:slides])
    assert AGAIN in refused(Seam(prefix), before + TEXT)


@pytest.mark.parametrize("length", [WHOLE, LONG - 1, LONG, 2 * LONG])
def test_a_short_text_is_repeated_from_its_first_word_to_its_last(length: int) -> None:
    prefix = TEXT[:length].strip().ljust(length, "x")
    assert AGAIN in refused(Seam(prefix), prefix + " and more.")
    assert AGAIN in refused(Seam(prefix + "\n"), prefix)


def test_one_code_point_below_each_limit_is_given_on() -> None:
    short = TEXT[: WHOLE - 1].strip().ljust(WHOLE - 1, "x")
    assert given_on(Seam(short), short)[-1] == WHOLE - 1
    said = TEXT[: LONG - 1] + "~ and another text."
    assert given_on(Seam(TEXT), said)[-1] == len(said)
    tail = TEXT.strip()[-(LONG - 1) :].lstrip() + " and another text."
    assert given_on(Seam(TEXT), tail)[-1] == len(tail)


@pytest.mark.parametrize("length", [LONG, 2 * LONG, 3000])
def test_its_last_long_stretch_is_refused(length: int) -> None:
    tail = TEXT.strip()[-length:]
    while not tail[0].strip():
        tail = TEXT.strip()[-length - 1 :]
        length += 1
    assert END in refused(Seam(TEXT), tail + "\n\n## Slide 9\n\nMore.")


def test_an_answer_cut_short_by_its_limit_is_refused_too() -> None:
    assert AGAIN in refused(Seam(TEXT), TEXT[: WHOLE + 20].rstrip())


def test_what_this_continuation_wrote_before_is_not_written_twice() -> None:
    own = "A sentence that this server writes to whatever it is asked, each time it is asked it. "
    assert AGAIN in refused(Seam(TEXT + own, own=len(own)), own + own)
    assert AGAIN in refused(Seam(TEXT + 9 * "x" + own * 1, own=len(own)), own)


def test_the_models_own_beginning_counts_where_the_annotator_changed_it() -> None:
    original, corrected = SLIDES[0], SLIDES[0][:90] + "my words instead.\n\n"
    assert AGAIN in refused(Seam(corrected, beginnings=[original[:400], corrected]), TEXT)
    # An introduction before it: the old beginning is what follows.
    before = "Before we begin, a word about who we are and why this matters to all of us here.\n\n"
    said = given_on(Seam(before, beginnings=[original[:400]]), TEXT)
    assert said[-1] == len(TEXT)


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("# Course\n\n## Slide 1\n\nHello.\n\n", "## Slide 1\n\nHello again, from the other deck."),
        ("**Summary**\n\n" + "Words of the first part. " * 3, "**Summary**\n\nOther words."),
        ("| a | b |\n| --- | --- |\n" + "| 1 | 2 |\n" * 40, "| 1 | 2 |\n" * 60),
        ("Row, row, row your boat,\nGently down the stream.\n", "Row, row, row your boat!\nHo."),
        ("第一页\n\n今天我们谈谈机器学习。\n\n", "第一页\n\n今天我们谈谈别的。"),
        ("", "Anything."),
        ("\n\n", "\n\nAnything."),
    ],
)
def test_short_repetitions_are_honest(prefix: str, said: str) -> None:
    assert given_on(Seam(prefix), said)[-1] == len(said)


def test_a_model_in_a_loop_goes_on_in_it() -> None:
    verse = SLIDES[2]
    assert len(verse) > LONG
    for prefix in (verse * 2, TEXT + verse * 2, "na " * 400, verse * 5):
        said = prefix[-len(verse) :] * 3
        assert given_on(Seam(prefix), said)[-1] == len(said)


def test_a_chorus_may_come_back() -> None:
    chorus = SLIDES[1]
    prefix = "A song.\n\n" + SLIDES[0] + chorus + SLIDES[2]
    said = chorus + SLIDES[3]
    assert given_on(Seam(prefix), said)[-1] == len(said)


def test_every_honest_continuation_of_a_real_lecture_passes_with_its_words_at_once() -> None:
    for at in range(1, len(SLIDES)):
        prefix, rest = "".join(SLIDES[:at]), "".join(SLIDES[at:])
        counts = given_on(Seam(prefix, own=len(SLIDES[at - 1])), rest, size=1)
        assert counts[-1] == len(rest)
        held = sum(1 for count in counts if count == 0)
        assert held <= 40, f"{held} code points held back after slide {at}"


def test_a_server_that_shows_its_prompt_is_believed() -> None:
    seam = Seam(TEXT)
    seam.trust()
    assert seam.settled(TEXT[:1])
    assert seam.settled(TEXT)


@given(st.text("ab \n", max_size=400), st.text("ab \n", max_size=400), st.randoms())
def test_however_it_is_cut_the_answer_is_the_same(
    prefix: str, said: str, chance: random.Random
) -> None:
    """And what is given on once stays given."""

    def verdict(cuts: list[int]) -> bool:
        seam = Seam(prefix)
        passed = False
        try:
            for cut in cuts:
                now = seam.settled(said[:cut])
                assert now or not passed
                passed = now
            return seam.settled(said, ended=True)
        except EngineError:
            assert not passed
            return False

    some = sorted({chance.randrange(len(said) + 1) for _ in range(5)} | {len(said)})
    assert verdict(list(range(len(said) + 1))) == verdict(some)
