"""Filters of pairs: one form however they are typed, errors that name the field."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.corrections import Kind
from app.domain.filters import FILTERS, FilterError, PairFilter, from_canonical, parse

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
NUMBERS = st.integers(0, 2**31 - 1)
MANY = st.lists(NAMES.filter(lambda name: len(name) <= 200), max_size=3).map(tuple)
WANTED = st.builds(
    PairFilter,
    project=MANY,
    policy=MANY,
    round=st.lists(NUMBERS, max_size=3).map(tuple),
    annotator=MANY,
    kind=st.lists(st.sampled_from(Kind), max_size=3).map(tuple),
    on_policy=st.none() | st.booleans(),
    reviewed=st.none() | st.booleans(),
    since=st.none() | st.dates(max_value=date(2026, 1, 1)),
    until=st.none() | st.dates(min_value=date(2026, 1, 1)),
    min_position=st.none() | st.integers(0, 10),
    max_position=st.none() | st.integers(10, 20),
    min_edit=st.none() | st.integers(0, 10),
    max_edit=st.none() | st.integers(10, 20),
    language=st.lists(st.sampled_from(["en", "zh", "pt-br"])).map(tuple),
    tag=MANY,
    newest_only=st.booleans(),
    limit_per_sample=st.none() | st.integers(1, 9),
)


@given(WANTED)
def test_an_address_and_a_manifest_give_the_filter_back(wanted: PairFilter) -> None:
    assert parse(wanted.words()) == wanted
    assert from_canonical(wanted.canonical()) == wanted


@given(st.lists(NAMES.filter(lambda name: len(name) <= 200), max_size=5), st.randoms())
def test_the_order_of_values_makes_no_other_filter(names: list[str], chance: object) -> None:
    one = parse(("tag", name) for name in names)
    other = parse(("tag", name) for name in reversed([*names, *names]))
    assert one == other
    assert list(one.canonical().items()) == list(other.canonical().items())


def test_only_what_is_set_is_in_the_canonical_form() -> None:
    wanted = parse([("project", "b"), ("project", "a"), ("on_policy", "no"), ("since", "")])
    assert list(wanted.canonical().items()) == [("on_policy", False), ("project", ["a", "b"])]
    assert PairFilter().canonical() == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("polcy", "x"),
        ("kind", "rewritten"),
        ("round", "-1"),
        ("round", "99999999999"),
        ("min_edit", "five"),
        ("min_edit", "٣"),
        ("limit_per_sample", "0"),
        ("on_policy", "maybe"),
        ("since", "2026-02-30"),
        ("until", "yesterday"),
        ("language", "english!"),
        ("tag", "x" * 201),
        ("annotator", "\0"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_filter(name: str, value: str) -> None:
    with pytest.raises(FilterError) as refused:
        parse([(name, value)])
    assert refused.value.field == name


def test_a_range_without_anything_in_it_is_refused() -> None:
    with pytest.raises(FilterError) as refused:
        parse([("min_edit", "5"), ("max_edit", "4")])
    assert refused.value.field == "max_edit"


def test_one_value_is_not_given_twice() -> None:
    with pytest.raises(FilterError, match="only once"):
        parse([("since", "2026-01-01"), ("since", "2026-01-02")])
    with pytest.raises(FilterError, match="At most"):
        parse(("tag", str(number)) for number in range(101))


def test_every_filter_has_its_sentence() -> None:
    assert list(FILTERS) == list(PairFilter.__dataclass_fields__)
