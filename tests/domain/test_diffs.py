from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.diffs import Change, Op, diff, distance, pair_rows, tally
from app.domain.words import _INNER, _UNSPACED, _WORD, tokens, words
from tests.domain.texts import TEXTS

BITS = (
    *("don't", "do not", "co-op", "word", "Word", "cafe\u0301", "café", "3.5", "3", "a_b"),
    *(" ", "  ", "\n", "\r\n", "\r", "\u2028", ".", ". ", "。", ",", "'", "’", "-"),
    *("👨‍👩‍👧", "👍🏽", "👍🏿", "🇨🇭", "🇨🇳", "\u0301", "\u200d", "\u0600"),
    *("第三页", "图表", "カー", "ไทย", "한국"),
)
texts = st.lists(st.sampled_from(BITS), max_size=40).map("".join)
properties = settings(max_examples=300, deadline=None)


def side(changes: Sequence[Change], left_out: Op) -> list[str]:
    return [change.text for change in changes if change.op is not left_out]


def ends(parts: Sequence[str]) -> set[int]:
    return set(accumulate(map(len, parts)))


def shown(old: str, new: str) -> str:
    marks = {Op.DELETE: "[-{}]", Op.INSERT: "[+{}]", Op.EQUAL: "{}"}
    return "".join(marks[change.op].format(change.text) for change in diff(old, new))


@given(st.text())
@properties
def test_tokens_concatenate_to_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text


@given(texts | st.text())
@properties
def test_a_token_never_ends_inside_a_grapheme(text: str) -> None:
    assert ends(tokens(text)) <= ends(regex.findall(r"\X", text))


@given(texts, texts)
@properties
def test_a_diff_holds_both_texts_exactly(old: str, new: str) -> None:
    changes = diff(old, new)
    assert "".join(side(changes, Op.INSERT)) == old
    assert "".join(side(changes, Op.DELETE)) == new


@given(st.text(), st.text())
@properties
def test_a_diff_of_any_unicode_holds_both_texts_exactly(old: str, new: str) -> None:
    changes = diff(old, new)
    assert "".join(side(changes, Op.INSERT)) == old
    assert "".join(side(changes, Op.DELETE)) == new


@given(texts, texts)
@properties
def test_a_diff_never_cuts_a_word_or_a_grapheme(old: str, new: str) -> None:
    changes = diff(old, new)
    assert ends(side(changes, Op.INSERT)) <= ends(tokens(old))
    assert ends(side(changes, Op.DELETE)) <= ends(tokens(new))


@given(texts, texts)
@properties
def test_neighbours_differ_and_deletions_come_first(old: str, new: str) -> None:
    changes = diff(old, new)
    assert all(change.text for change in changes)
    for one, other in pairwise(changes):
        assert one.op is not other.op
        assert (one.op, other.op) != (Op.INSERT, Op.DELETE)


@given(texts, texts, st.lists(texts, min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_a_long_diff_keeps_the_same_promises(old: str, new: str, filler: list[str]) -> None:
    body = "".join(f"Line {at} of the text. " + "\n" * (at % 3) for at in range(500))
    old, new = f"{filler[0]}{old}. {body}{filler[1]}", f"{new}. {body}{filler[2]}{old}"
    changes = diff(old, new)
    assert "".join(side(changes, Op.INSERT)) == old
    assert "".join(side(changes, Op.DELETE)) == new
    assert ends(side(changes, Op.INSERT)) <= ends(tokens(old))
    assert ends(side(changes, Op.DELETE)) <= ends(tokens(new))


@pytest.mark.parametrize("name", TEXTS)
def test_difficult_texts_are_compared_exactly(name: str) -> None:
    old, new = TEXTS[name], f"New. {TEXTS[name]} New."
    changes = diff(old, new)
    assert "".join(side(changes, Op.INSERT)) == old
    assert "".join(side(changes, Op.DELETE)) == new


def test_a_spent_budget_shows_the_text_as_rewritten() -> None:
    old = "".join(f"old{at} " for at in range(3000))
    new = "".join(f"new{at} " for at in range(3000))
    assert diff(old, new, budget_s=0.0) == [Change(Op.DELETE, old), Change(Op.INSERT, new)]


def test_thousands_of_equal_lines_cost_no_more_than_the_budget() -> None:
    line = "a\n"
    old = line * 10_000
    changes = diff(old, f"b\n{line * 4_000}c\n{old}d\n", budget_s=0.2)
    assert "".join(side(changes, Op.INSERT)) == old


@pytest.mark.parametrize(
    ("old", "new", "shows"),
    [
        ("", "", ""),
        ("same", "same", "same"),
        ("", "new", "[+new]"),
        ("old", "", "[-old]"),
        ("I don't know", "I do not know", "I [-don't][+do not] know"),
        ("👍🏽 fine", "👍🏿 fine", "[-👍🏽][+👍🏿] fine"),
        ("🇨🇭 fine", "🇨🇳 fine", "[-🇨🇭][+🇨🇳] fine"),
        ("a 👨‍👩‍👧 b", "a 👨‍👩‍👦 b", "a [-👨‍👩‍👧][+👨‍👩‍👦] b"),
        ("e\u0301 x", "e\u0300 x", "[-e\u0301][+e\u0300] x"),
        ("图表显示了增长", "图表显示了下降", "图表显示了[-增长][+下降]"),
        ("He came. He left.", "He came. She sat. He left.", "He came.[+ She sat.] He left."),
        ("one\ntwo", "one\n\ntwo", "one\n[+\n]two"),
        ("a\r\nb", "a\nb", "a[-\r\n][+\n]b"),
    ],
)
def test_a_diff_reads_as_a_person_would_mark_it(old: str, new: str, shows: str) -> None:
    assert shown(old, new) == shows


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ("same words", "same words", (0, 0)),
        ("I don't know", "I do not know", (2, 1)),
        ("图表显示了增长", "图表显示了下降", (2, 2)),
        ("one two", "one, two!", (0, 0)),
    ],
)
def test_a_tally_counts_words(old: str, new: str, count: tuple[int, int]) -> None:
    assert tally(diff(old, new)) == count


@given(texts, texts)
@properties
def test_a_tally_adds_up_to_the_difference_in_words(old: str, new: str) -> None:
    inserted, deleted = tally(diff(old, new))
    assert inserted - deleted == words(new) - words(old)


@given(texts, texts)
@properties
def test_distance_is_a_share_and_zero_for_equal_texts(old: str, new: str) -> None:
    assert 0 <= distance(old, new) <= 1
    assert distance(old, old) == 0


def test_distance_is_the_share_of_words_that_changed() -> None:
    assert distance("one two three four", "one two three five") == 0.25
    assert distance("one", "two") == 1
    assert distance("", "") == 0
    assert distance("👍", "👎") == 1


lines = st.sampled_from(["A cat.\n", "A dog.\n", "Two cats.\n", "", "猫。"])
segments = st.lists(lines, max_size=7)


@given(segments, segments)
@properties
def test_every_segment_has_one_row_in_order(old: list[str], new: list[str]) -> None:
    rows = pair_rows(old, new)
    assert [i for i, _ in rows if i is not None] == list(range(len(old)))
    assert [j for _, j in rows if j is not None] == list(range(len(new)))
    assert (None, None) not in rows


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        ([], [], []),
        (["a"], [], [(0, None)]),
        ([], ["a"], [(None, 0)]),
        (["a", "b"], ["a", "b"], [(0, 0), (1, 1)]),
        (["a", "b", "c"], ["a", "x", "c"], [(0, 0), (1, 1), (2, 2)]),
        (["a", "b"], ["new", "a", "b"], [(None, 0), (0, 1), (1, 2)]),
        (
            ["the red cat sat", "end"],
            ["something else", "the red cat sat down", "end"],
            [(None, 0), (0, 1), (1, 2)],
        ),
        (["one two", "three four"], ["three five"], [(0, None), (1, 0)]),
        (["x"] * 60, ["y"] * 61, [(at, at) for at in range(60)] + [(None, 60)]),
    ],
)
def test_rows_pair_what_belongs_together(
    old: list[str], new: list[str], rows: list[tuple[int | None, int | None]]
) -> None:
    assert pair_rows(old, new) == rows


@given(texts)
@properties
def test_the_shortcut_for_ascii_finds_the_same_words(text: str) -> None:
    plain = regex.compile(
        rf"(?=[\p{{L}}\p{{N}}])[{_UNSPACED}]"
        rf"|(?:(?![{_UNSPACED}])[\p{{L}}\p{{N}}]\p{{M}}*(?:{_INNER})?)+"
    )
    assert _WORD.findall(text) == plain.findall(text)
