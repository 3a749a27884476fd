"""The rule that fits a file's texts, or the segments that a file gives."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.rules import Choice, choose_rule, rule_of_parts
from app.domain.segments import Rule, RuleKind, split
from tests.domain.texts import DEMO

USUAL = Rule(RuleKind.SLIDES, 50)
WORDS = "Some words of a paragraph that says little. "


def output(name: str) -> str:
    text = json.loads((DEMO / name).read_text(encoding="utf-8"))["output"]
    assert isinstance(text, str)
    return text


LECTURE = output("lecture_16_slides.en.json")
REVIEW = output("film_review.zh.json")
ESSAY = "\n\n".join([WORDS * 12] * 6)
REPORT = "# One\n\nText.\n\n# Two\n\nText.\n\n## Three\n\nText."
SOLID = WORDS * 100


@pytest.mark.parametrize(
    ("outputs", "choice"),
    [
        ([LECTURE], Choice(RuleKind.SLIDES, 1, 1)),
        ([REVIEW], Choice(RuleKind.PARAGRAPHS, 1, 1)),
        ([ESSAY], Choice(RuleKind.PARAGRAPHS, 1, 1)),
        ([REPORT], Choice(RuleKind.HEADINGS, 1, 1)),
        ([SOLID], Choice(RuleKind.SENTENCES, 1, 1)),
        ([LECTURE, ESSAY, ESSAY], Choice(RuleKind.PARAGRAPHS, 2, 3)),
        ([ESSAY, LECTURE], Choice(RuleKind.SLIDES, 1, 2)),
        (["Short.", "Brief.", "Yes.", LECTURE, " \n"], Choice(RuleKind.SLIDES, 1, 1)),
        (["Short.", "Brief."], Choice(RuleKind.SENTENCES, 2, 2)),
        (["", "\n"], None),
        ([], None),
    ],
)
def test_the_rule_that_fits_most_texts_is_chosen(outputs: list[str], choice: Choice | None) -> None:
    assert choose_rule(outputs) == choice


@pytest.mark.parametrize("kind", [RuleKind.SLIDES, RuleKind.HEADINGS, RuleKind.PARAGRAPHS])
def test_the_reason_names_the_figures(kind: RuleKind) -> None:
    assert "3 of the 4 outputs" in str(Choice(kind, 3, 4).reason)


@pytest.mark.parametrize(
    ("parts", "rule"),
    [
        (["## Slide 1\n\nA.\n\nB.\n\n", "## Slide 2\n\nC."], RuleKind.SLIDES),
        (["# A\n\nA.\n\n", "# B\n\nB.\n\nC."], RuleKind.HEADINGS),
        (["First.\n\n", "Second.\n\n", "Third."], RuleKind.PARAGRAPHS),
        (["First.\n", "Second.\n", "Third."], RuleKind.LINES),
        (["A.\n\nB.\n\n\n", "C.\n\nD.\n\n\n", "E."], RuleKind.GAPS),
        ([SOLID + "\n\n" + SOLID + "\n\n"] * 3, RuleKind.GROUPS),
        ([WORDS * 3 + "\n\n", WORDS * 4 + "\nThe end.\n\n", WORDS], RuleKind.PARAGRAPHS),
    ],
)
def test_the_rule_of_given_parts_is_what_separates_them(parts: list[str], rule: RuleKind) -> None:
    found = rule_of_parts(parts, usual=USUAL)
    assert found is not None
    assert found.kind is rule
    assert [piece.text for piece in split("".join(parts), found, fallback=False)] == parts


def test_the_projects_rule_is_taken_when_it_gives_these_parts() -> None:
    usual = Rule(RuleKind.SENTENCES, 10)
    parts = [piece.text for piece in split(SOLID, usual)]
    assert rule_of_parts(parts, usual=usual) == usual


@pytest.mark.parametrize(
    "sizes",
    [
        (3, 5, 4, 6, 4, 5, 3, 6, 5, 4),
        (1, 4, 2, 3, 1, 2, 4, 3, 2, 1, 3, 2),
        (2, 2, 2, 1, 2, 2, 2, 2),
    ],
)
def test_parts_of_several_paragraphs_are_cut_about_as_often(sizes: tuple[int, ...]) -> None:
    parts = [
        "".join(WORDS * (2 + (part + at) % 3) + "\n\n" for at in range(size))
        for part, size in enumerate(sizes)
    ]
    rule = rule_of_parts(parts, usual=USUAL)
    assert rule is not None
    assert rule.kind is RuleKind.GROUPS
    assert len(parts) * 0.6 <= len(split("".join(parts), rule)) <= len(parts) * 1.4


def test_one_part_says_nothing() -> None:
    assert rule_of_parts(["Alone."], usual=USUAL) is None
    assert rule_of_parts([], usual=USUAL) is None


@given(st.lists(st.sampled_from(["a", "\n", "B. ", "C.\n\n", "## Slide 1\n"]), min_size=2))
def test_any_parts_have_a_rule(parts: list[str]) -> None:
    assert rule_of_parts(parts, usual=USUAL) is not None
