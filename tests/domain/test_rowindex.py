"""The index of a snapshot, and what became of its rows in another one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.rowindex import Difference, IndexedRow, compare, find_row, in_order, read_index
from app.domain.splits import Split

contents = st.dictionaries(
    st.integers(1, 60), st.tuples(st.sampled_from(["aa", "bb"]), st.sampled_from(Split))
)


def rows(content: dict[int, tuple[str, Split]]) -> list[IndexedRow]:
    return [
        IndexedRow(str(number), split, digest)
        for number, (digest, split) in sorted(content.items())
    ]


def texts(numbers: set[int]) -> list[str]:
    return [str(number) for number in sorted(numbers)]


@settings(deadline=None)
@given(contents, contents)
def test_a_comparison_says_what_sets_say(
    old: dict[int, tuple[str, Split]], new: dict[int, tuple[str, Split]]
) -> None:
    found = compare(rows(old), rows(new), shown=1000)
    both = old.keys() & new.keys()
    changed = {number for number in both if old[number][0] != new[number][0]}
    moved = {number for number in both - changed if old[number] != new[number]}
    assert found.ids[Difference.ADDED] == texts(new.keys() - old.keys())
    assert found.ids[Difference.REMOVED] == texts(old.keys() - new.keys())
    assert found.ids[Difference.CHANGED] == texts(changed)
    assert found.ids[Difference.MOVED] == texts(moved)
    assert found.same == len(both - changed - moved)
    assert found.equal == (old == new)


def test_a_comparison_counts_what_it_does_not_list() -> None:
    found = compare([], rows(dict.fromkeys(range(1, 10), ("aa", Split.TRAIN))), shown=3)
    assert found.counts[Difference.ADDED] == 9
    assert found.ids[Difference.ADDED] == ["1", "2", "3"]


@settings(deadline=None)
@given(contents)
def test_an_index_is_read_as_it_was_written(content: dict[int, tuple[str, Split]]) -> None:
    written = [row.line() for row in rows(content)]
    assert list(read_index(written)) == rows(content)


def test_an_index_out_of_order_is_damaged() -> None:
    lines = [IndexedRow(str(number), Split.TEST, "aa").line() for number in (2, 1)]
    with pytest.raises(ValueError, match="damaged"):
        list(read_index(lines))


def test_rows_stand_in_the_order_of_their_numbers() -> None:
    ids = ["12-7", "9", "12-31", "100"]
    placed = in_order(IndexedRow(name, Split.TRAIN, "aa") for name in ids)
    assert [row.id for row in placed] == ["9", "12-7", "12-31", "100"]


@settings(deadline=None)
@given(contents)
def test_a_row_is_found_where_it_stands(content: dict[int, tuple[str, Split]]) -> None:
    there = {row.id: row for row in rows(content)}
    index = "".join(row.line() for row in there.values()).encode()
    for number in range(70):
        assert find_row(index, str(number)) == there.get(str(number))
