"""How sure the model was: the mean of a segment, its weakest words, and where they stand."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.certainty import (
    MOST_WEAK,
    WEAK,
    Token,
    WeakWord,
    certainty,
    from_rows,
    marked,
    percent,
    shifted,
    to_rows,
    within,
)
from tests.domain.texts import TEXTS

SURE, UNSURE = -0.1, -2.3


def cut(*pieces: tuple[str, float]) -> tuple[str, list[Token]]:
    """A text and its tokens from pieces of it with the log-probability of each."""
    text, tokens = "", []
    for piece, logprob in pieces:
        tokens.append(Token(len(text), len(text) + len(piece), logprob))
        text += piece
    return text, tokens


def weak(text: str, tokens: Sequence[Token]) -> list[tuple[str, float]]:
    """The weak words as the text has them, and their log-probabilities."""
    found = certainty(text, tokens)
    assert found is not None
    return [(text[word.start : word.end], round(word.logprob, 6)) for word in found.weak]


def test_the_mean_is_that_of_the_tokens() -> None:
    found = certainty(*cut(("The", -1.0), (" crane", -2.0), (".\n\n", -0.3)))
    assert found is not None
    assert found.mean == pytest.approx(-1.1)
    assert percent(found.mean) == 33


def test_a_word_is_as_likely_as_all_its_tokens_together() -> None:
    text, tokens = cut(("The", SURE), (" Liebh", -0.9), ("err", -0.8), (" lifts", SURE))
    assert weak(text, tokens) == [("Liebherr", -1.7)]


def test_blanks_newlines_and_punctuation_are_no_words() -> None:
    text, tokens = cut(("Yes", SURE), (" —", UNSURE), ("\t", UNSURE), ("...\n\n", UNSURE))
    assert weak(text, tokens) == []


def test_a_word_begins_behind_the_blank_of_its_token() -> None:
    text, tokens = cut(
        ("It", SURE), (" 'weighs", UNSURE), ("'", SURE), (" 40", UNSURE), ("t", SURE)
    )
    assert weak(text, tokens) == [
        ("weighs", UNSURE),
        ("40t", UNSURE + SURE),
    ]


def test_chinese_is_marked_by_the_tokens_that_wrote_it() -> None:
    text, tokens = cut(
        ("涨潮", SURE), ("时", SURE), ("水深", UNSURE), ("九", UNSURE), ("米。", SURE)
    )
    assert weak(text, tokens) == [
        ("水深", UNSURE),
        ("九", UNSURE),
    ]


def test_words_that_share_a_token_are_one() -> None:
    text, tokens = cut(("Most", SURE), (" of the", UNSURE), (" ships", SURE))
    assert weak(text, tokens) == [("of the", UNSURE)]


def test_characters_of_several_tokens_take_them_all() -> None:
    """A rare character is written byte by byte: three tokens that overlap in it."""
    tokens = [Token(0, 1, SURE), Token(1, 2, -0.5), Token(1, 2, -0.5), Token(1, 2, -0.5)]
    assert weak("水䲢", tokens) == [("䲢", -1.5)]


def test_only_the_weakest_are_kept_in_the_order_of_the_text() -> None:
    pieces = [(f" w{number}", WEAK - number % 12) for number in range(30)]
    text, tokens = cut(*pieces)
    found = weak(text, tokens)
    assert len(found) == MOST_WEAK
    places = [text.index(f" {word}") for word, _ in found]
    assert places == sorted(places)
    kept = sorted(logprob for _, logprob in found)
    assert kept == pytest.approx(sorted(logprob for _, logprob in pieces)[:MOST_WEAK])


def test_a_probability_of_a_quarter_is_not_weak() -> None:
    text, tokens = cut(("even", WEAK), (" odd", WEAK - 0.001))
    assert [word for word, _ in weak(text, tokens)] == ["odd"]


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [Token(0, 3, -1.0)],
        [Token(3, 9, -1.0)],
        [Token(0, 3, -1.0), Token(4, 9, -1.0)],
        # Of the segment before, and of the one behind.
        [Token(-4, 0, -1.0), Token(9, 12, -1.0)],
    ],
    ids=["none", "no end", "no beginning", "a hole", "beside"],
)
def test_a_segment_that_its_tokens_do_not_cover_is_not_known(tokens: list[Token]) -> None:
    assert certainty("The crane", tokens) is None


def test_a_token_across_a_boundary_counts_where_it_begins_and_marks_words_on_both_sides() -> None:
    first = certainty("One", [Token(0, 2, SURE), Token(2, 5, UNSURE)])
    second = certainty("Two x", [Token(-1, 2, UNSURE), Token(2, 3, SURE), Token(3, 5, SURE)])
    assert first is not None
    assert second is not None
    assert first.mean == pytest.approx((SURE + UNSURE) / 2)
    assert second.mean == pytest.approx(SURE)
    assert first.weak == (WeakWord(0, 3, SURE + UNSURE),)
    assert second.weak == (WeakWord(0, 3, UNSURE + SURE),)


def test_a_weak_word_moves_with_its_part() -> None:
    words = (WeakWord(2, 5, -2.0), WeakWord(7, 9, -3.0))
    assert within(words, 0, 6) == (WeakWord(2, 5, -2.0),)
    assert within(words, 6, 10) == (WeakWord(1, 3, -3.0),)
    assert within(words, 3, 8) == ()
    assert shifted(words, 10) == (WeakWord(12, 15, -2.0), WeakWord(17, 19, -3.0))


def test_rows_and_back() -> None:
    words = (WeakWord(2, 5, -2.34567),)
    assert to_rows(words) == [[2, 5, -2.3457]]
    assert from_rows([[2, 5, -2.3457]]) == (WeakWord(2, 5, -2.3457),)
    assert from_rows(None) == ()


@pytest.mark.parametrize(
    ("logprob", "shown"), [(round(math.log(0.17), 4), 17), (math.log(0.009), 0), (-9999.0, 0)]
)
def test_a_probability_is_shown_in_percent(logprob: float, shown: int) -> None:
    assert WeakWord(0, 1, logprob).percent == shown


texts = st.text(
    alphabet=st.sampled_from("ab c1.,\n\r第三😀e\u0301’-_"), max_size=60
) | st.sampled_from(sorted(TEXTS.values(), key=len)[:-1])
logprobs = st.floats(min_value=-12, max_value=0)


@given(texts, st.data())
def test_however_the_text_is_cut_into_tokens(text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=30)) | {0, len(text)})
    tokens = [Token(start, end, data.draw(logprobs)) for start, end in pairwise(ends)]
    found = certainty(text, tokens)
    assert (found is None) is (text == "")
    if found is None:
        return
    assert found.mean == pytest.approx(sum(token.logprob for token in tokens) / len(tokens))
    assert len(found.weak) <= MOST_WEAK
    assert all(one.end <= two.start for one, two in pairwise(found.weak))
    for word in found.weak:
        shown = text[word.start : word.end]
        assert shown[0].isalnum() or shown[0] == "_"
        assert not shown[-1].isspace()
        assert word.logprob < WEAK
        own = [one.logprob for one in tokens if one.start < word.end and one.end > word.start]
        assert word.logprob == pytest.approx(sum(own))
    pieces = list(marked(text, found.weak))
    assert "".join(piece for piece, _ in pieces) == text
    assert all(piece for piece, _ in pieces)
    assert [word for _, word in pieces if word is not None] == list(found.weak)


@given(texts, st.integers(0, 60), st.data())
def test_a_split_loses_no_word_but_the_one_that_it_cuts(
    text: str, at: int, data: st.DataObject
) -> None:
    at = min(at, len(text))
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=20)) | {0, len(text)})
    found = certainty(text, [Token(start, end, -3.0) for start, end in pairwise(ends)])
    words = found.weak if found else ()
    parts = within(words, 0, at) + shifted(within(words, at, len(text)), at)
    assert set(words) - set(parts) == {word for word in words if word.start < at < word.end}
