"""Splits by sample: stable when samples come and go, and no image in two of them when asked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.splits import Split, SplitPlan, divide, sizes

# The second letters of train, validation and test.
PLACES = "rrerrrraarrrrrrrerrrrrrr"

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
plans = st.builds(
    SplitPlan,
    validation=st.integers(0, 4_900).map(lambda parts: parts / 10_000),
    test=st.integers(1, 4_900).map(lambda parts: parts / 10_000),
    separate_images=st.booleans(),
    seed=st.integers(0, 2**63 - 1),
)
shared = st.lists(st.lists(names, min_size=2, max_size=4), max_size=12)


@settings(deadline=None)
@given(plans, shared, names)
def test_a_sample_keeps_its_split_when_unrelated_ones_are_added(
    plan: SplitPlan, before: list[list[str]], added: str
) -> None:
    known = {name for group in before for name in group}
    first = divide(plan, before)
    second = divide(plan, [*before, [f"new {added} a", f"new {added} b"]])
    assert [first.split_of(name) for name in known] == [second.split_of(name) for name in known]


@settings(deadline=None)
@given(plans, shared)
def test_samples_that_share_an_image_are_in_one_split(
    plan: SplitPlan, groups: list[list[str]]
) -> None:
    if plan.separate_images:
        division = divide(plan, groups)
        assert all(len({division.split_of(name) for name in group}) == 1 for group in groups)


@settings(deadline=None)
@given(plans, shared)
def test_the_order_in_which_images_are_read_changes_nothing(
    plan: SplitPlan, groups: list[list[str]]
) -> None:
    turned = [list(reversed(group)) for group in reversed(groups)]
    first, second = divide(plan, groups), divide(plan, turned)
    for name in {name for group in groups for name in group}:
        assert first.split_of(name) is second.split_of(name)


def test_images_link_samples_through_others() -> None:
    plan = SplitPlan(validation=0.2, test=0.2, separate_images=True, seed=7)
    chain = [[f"s{number}", f"s{number + 1}"] for number in range(40)]
    division = divide(plan, chain)
    assert len({division.split_of(f"s{number}") for number in range(41)}) == 1
    assert (division.linked, division.groups, division.largest) == (41, 1, 41)


def test_shares_come_out_as_asked() -> None:
    plan = SplitPlan(validation=0.1, test=0.05, seed=1)
    counted = sizes(plan.split_of(f"sample-{number}") for number in range(20_000))
    assert counted[Split.VALIDATION] == pytest.approx(2_000, rel=0.1)
    assert counted[Split.TEST] == pytest.approx(1_000, rel=0.1)
    assert sum(counted.values()) == 20_000


def test_groups_fall_as_single_samples_do() -> None:
    """The hash that chooses who speaks for a group must not favour a split."""
    plan = SplitPlan(validation=0.2, separate_images=True, seed=3)
    division = divide(plan, ([f"{number}-{part}" for part in range(5)] for number in range(4_000)))
    counted = sizes(division.split_of(f"{number}-0") for number in range(4_000))
    assert counted[Split.VALIDATION] == pytest.approx(800, rel=0.15)


def test_more_for_a_test_moves_nothing_in_the_validation() -> None:
    few, many = SplitPlan(validation=0.2, test=0.1), SplitPlan(validation=0.2, test=0.4)
    for name in map(str, range(2_000)):
        before, after = few.split_of(name), many.split_of(name)
        assert before is after or (before, after) == (Split.TRAIN, Split.TEST)


def test_another_seed_divides_differently() -> None:
    one, other = SplitPlan(test=0.5, seed=1), SplitPlan(test=0.5, seed=2)
    names = [f"s{number}" for number in range(200)]
    assert [one.split_of(name) for name in names] != [other.split_of(name) for name in names]


# The second letter of train, validation and test.
def test_what_was_held_out_is_held_out_for_ever() -> None:
    """The very places are part of the promise: another release must not move samples."""
    plan = SplitPlan(validation=0.1, test=0.1, seed=42)
    assert "".join(plan.split_of(f"cs101-{number:02}")[1] for number in range(24)) == PLACES


@pytest.mark.parametrize(
    ("plan", "word"),
    [
        ({"validation": 1.0}, "below 1"),
        ({"validation": -0.1}, "at least 0"),
        ({"test": float("nan")}, "at least 0"),
        ({"test": 0.12345}, "four decimal places"),
        ({"validation": 0.5, "test": 0.5}, "No samples are left"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        SplitPlan(**plan)  # type: ignore[arg-type] # wrong on purpose
