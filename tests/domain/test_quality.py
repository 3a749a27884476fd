"""The quality gate: each check finds what its name says, and nothing once it is allowed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.corrections import Kind
from app.domain.prefixes import EMPTY, Piece, Prefix
from app.domain.prompts import Template
from app.domain.quality import (
    CHECKS,
    NEVER_ALLOWED,
    Check,
    Gate,
    Inspection,
    Setting,
    allow,
    same_but_whitespace,
)
from app.domain.text import SPECIAL_STRINGS, defect
from app.domain.tokencount import TURNS, VISION, image_tokens, text_tokens
from tests.domain.texts import TEXTS

ANY = st.sampled_from(sorted(TEXTS.values())) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40
)
CHINESE = "这张图把模型和基线进行了比较,结果显示增长了百分之十二,非常明显。"
ENGLISH = "The figure compares the model with a baseline and shows a growth of 12 percent."
SETTING = Setting(language="en", content=b"a", tokens=100.0, special=False, control=False)


def prefix_of(*texts: str) -> Prefix:
    prefix = EMPTY
    for text in texts:
        prefix = prefix.grow(Piece.of(text))
    return prefix


def find(
    chosen: str = "Good text.\n\n",
    rejected: str = "Bad text.\n\n",
    *,
    gate: Gate | None = None,
    before: tuple[str, ...] = ("Before.\n\n",),
    **rest: Any,
) -> Check | None:
    given: dict[str, Any] = {"kind": Kind.REWRITE, "setting": SETTING, "truncated": False} | rest
    return Inspection(gate or Gate()).find(
        "1",
        prefix=prefix_of(*before),
        chosen=Piece.of(chosen),
        rejected=Piece.of(rejected),
        **given,
    )


WRONG: dict[Check, dict[str, Any]] = {
    Check.EMPTY: {"chosen": " \n"},
    Check.IDENTICAL: {"chosen": "Bad text.\n\n"},
    Check.SPECIAL: {"rejected": "Bad <|im_end|> text."},
    Check.CONTROL: {"chosen": "Good\x0b text."},
    Check.WHITESPACE: {"chosen": "Bad  text.\n"},
    Check.TRUNCATED: {"truncated": True},
    Check.SHORTER: {"chosen": "B.", "rejected": "Bad text." * 9},
    Check.LANGUAGE: {"chosen": CHINESE, "rejected": ENGLISH},
    Check.TOKENS: {"gate": Gate(max_tokens=110)},
}


@pytest.mark.parametrize("check", WRONG)
def test_a_check_finds_what_its_name_says(check: Check) -> None:
    assert find() is None
    assert find(**WRONG[check]) is check


@pytest.mark.parametrize("check", [check for check in WRONG if check not in NEVER_ALLOWED])
def test_a_check_that_is_allowed_finds_nothing(check: Check) -> None:
    gate = Gate(allowed=frozenset({check}), max_tokens=110 if check is Check.TOKENS else 0)
    assert find(**{**WRONG[check], "gate": gate}) is None


@pytest.mark.parametrize("check", sorted(NEVER_ALLOWED))
def test_what_no_trainer_can_use_is_never_allowed(check: Check) -> None:
    with pytest.raises(ValueError, match="is never exported"):
        Gate(allowed=frozenset({check}))


def test_a_special_string_is_found_across_every_boundary() -> None:
    assert find(before=("Before <|im_", "end|> more."), chosen="Good.") is Check.SPECIAL
    assert find("end|> Good.", before=("Before <|im_",)) is Check.SPECIAL
    assert find(rejected="|im_end|> Bad.", before=("Before <",)) is Check.SPECIAL
    assert find(before=("Before <|", "im_", "end", "|>")) is Check.SPECIAL
    assert find(before=("Before <|im_", " end|>")) is None


@given(st.lists(ANY | st.sampled_from([*SPECIAL_STRINGS, "<", "<|", "|>", "im_end|>"])))
def test_a_prefix_knows_of_its_text_what_the_whole_text_says(texts: list[str]) -> None:
    prefix, whole = prefix_of(*texts), Piece.of("".join(texts))
    assert prefix.text == whole.text
    assert b"".join(prefix.json) == whole.json
    assert prefix.special == (defect(whole.text) is not None)
    assert prefix.control == whole.control
    assert (prefix.length, prefix.checksums) == (len(whole.json), prefix_of(whole.text).checksums)
    assert prefix.tokens == pytest.approx(whole.tokens)


@given(st.lists(ANY | st.sampled_from([*SPECIAL_STRINGS, "<", "<|", "|>", "im_end|>"])))
def test_a_prefix_is_the_same_grown_at_once_and_step_by_step(texts: list[str]) -> None:
    assert EMPTY.grow(*map(Piece.of, texts)) == prefix_of(*texts)


def test_a_duplicate_is_found_however_its_prefix_is_cut() -> None:
    inspection = Inspection(Gate())

    def look(pair_id: str, setting: Setting, *before: str) -> Check | None:
        return inspection.find(
            pair_id,
            kind=Kind.REWRITE,
            setting=setting,
            prefix=prefix_of(*before),
            chosen=Piece.of("Good."),
            rejected=Piece.of("Bad."),
            truncated=False,
        )

    other = Setting(language="en", content=b"b", tokens=1.0, special=False, control=False)
    assert look("1", SETTING, "One. ", "Two. ") is None
    assert look("2", SETTING, "One. Two. ") is Check.DUPLICATE
    assert look("3", SETTING, "One. 2wo. ") is None
    assert look("4", other, "One. Two. ") is None
    assert (inspection.passed, inspection.found) == (3, {Check.DUPLICATE: 1})
    assert inspection.examples == {Check.DUPLICATE: ["2"]}


@given(ANY, ANY)
def test_only_whitespace_differs_where_the_rest_is_the_same(one: str, other: str) -> None:
    same = "".join(one.split()) == "".join(other.split())
    assert same_but_whitespace(one, other) is same
    spread = " ".join(one) + "\n"
    assert same_but_whitespace(one, spread)


def test_the_rejected_side_may_be_in_the_wrong_language() -> None:
    assert find(ENGLISH, CHINESE) is None
    assert find(CHINESE, ENGLISH, setting=SETTING.__class__("zh", b"", 0, False, False)) is None
    # Too few letters to speak a language.
    assert find("增长 12%。", ENGLISH[:40]) is None


def test_a_short_insertion_is_no_shortened_text() -> None:
    assert find("B.", "Bad text." * 9, kind=Kind.INSERT) is None
    assert find("B.", "Bad text." * 9, gate=Gate(min_share=0)) is None


def test_a_check_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no check named tuncated.*truncated"):
        allow(["tuncated"])
    assert set(CHECKS) == set(Check)


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        # 46 x 26 squares of 28 pixels (the figure in docs/formats.md).
        (1280, 720, 46 * 26 + 2),
        (28, 28, 4 + 2),
        (1, 200, 1 * 7 + 2),
        # Too many pixels: scaled to 12.8 million first.
        (6000, 4000, 156 * 104 + 2),
    ],
)
def test_image_tokens_follow_the_processors_rule(width: int, height: int, tokens: int) -> None:
    assert image_tokens(width, height, VISION[Template.QWEN2_5_VL]) == tokens


def test_a_text_takes_more_tokens_in_chinese() -> None:
    assert text_tokens("a" * 30) == pytest.approx(10)
    assert text_tokens("图" * 30) == pytest.approx(20)
    assert text_tokens("a图") == pytest.approx(text_tokens("a") + text_tokens("图"))
    assert TURNS > 0
