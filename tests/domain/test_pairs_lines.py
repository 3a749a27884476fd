"""Lines that are written quickly are the plain ones, whatever stands in the texts."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.corrections import Kind
from app.domain.prefixes import EMPTY, Piece
from app.domain.quality import Setting
from app.exports.formats import PAIR_FORMATS, Rendering
from app.exports.jsonl import QuickLines, plain_lines
from app.exports.reader import Found, SampleFacts

# What PostgreSQL stores as text: anything but NUL and halves of surrogate pairs.
STORED = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
TRAPS = st.sampled_from(
    ["\\u0000\\u0000p", "\\\\u0000\\u0000c", "\\", '"', "\x01", "\x1f\b\f", "\x7f", "\u2028", "😀"]
)
TEXT = st.lists(STORED | TRAPS, max_size=5).map("".join)
SIDES = st.tuples(TEXT, TEXT).filter(lambda sides: all(sides) and sides[0] != sides[1])
YEARS = datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("9000-01-01")
# What tells the pairs of a sample apart beside their texts.
FACTS = st.fixed_dictionaries(
    {
        "pair_id": st.integers(1, 2**63 - 1),
        "position": st.integers(0, 2**31 - 1),
        "created_at": st.datetimes(*YEARS, timezones=st.timezones()),
        "kind": st.sampled_from(Kind),
        "on_policy": st.booleans(),
        "ends_output": st.booleans(),
        "annotator": st.sampled_from(["lin", "zoë"]),
        "policy": st.sampled_from([None, "round-1"]),
    }
)


def sample_of(instruction: str) -> SampleFacts:
    return SampleFacts(
        id=1,
        project="lectures",
        source_id="s\\1",
        instruction=instruction,
        images=("3f9ac1",),
        image_files=("images/3f9ac1.png",),
        setting=Setting("en", b"", 0.0, special=False, control=False),
    )


def found(sample: SampleFacts, before: list[str], sides: tuple[str, str], **facts: Any) -> Found:
    prefix = EMPTY
    for text in before:
        prefix = prefix.grow(Piece.of(text))
    chosen, rejected = map(Piece.of, sides)
    known: dict[str, Any] = {
        "pair_id": 7,
        "position": len(before),
        "created_at": datetime(2026, 11, 25, tzinfo=UTC),
        "kind": Kind.REWRITE,
        "on_policy": True,
        "ends_output": True,
        "annotator": "lin",
        "policy": None,
    }
    return Found(
        cursor=3,
        sample=sample,
        prefix=prefix,
        chosen=chosen,
        rejected=rejected,
        truncated=False,
        **known | facts,
    )


@pytest.mark.parametrize("name", [name for name, form in PAIR_FORMATS.items() if form.verbatim])
@pytest.mark.parametrize("address", [None, "https://studio.example/images/"])
@given(instruction=TEXT, before=st.lists(TEXT, max_size=4), sides=SIDES)
@example(instruction="\\", before=["\\", "u0000\\u0000p"], sides=("\\u0000\\u0000c", "\\"))
def test_quick_lines_are_the_plain_ones(
    name: str, address: str | None, instruction: str, before: list[str], sides: tuple[str, str]
) -> None:
    one, form = found(sample_of(instruction), before, sides), PAIR_FORMATS[name]
    rendering = Rendering(image_url=address.__add__ if address else None)
    quick = QuickLines(form.rows, rendering)(one)
    assert quick == plain_lines(one, form.rows, rendering)
    assert all(line.endswith(b"}\n") and orjson.loads(line) for line in quick)


@pytest.mark.parametrize("name", [name for name, form in PAIR_FORMATS.items() if form.verbatim])
@given(
    instructions=st.lists(TEXT, min_size=1, max_size=2),
    pairs=st.lists(st.tuples(st.lists(TEXT, max_size=2), SIDES, FACTS), max_size=5),
)
def test_each_pair_of_a_sample_has_its_own_line(
    name: str,
    instructions: list[str],
    pairs: list[tuple[list[str], tuple[str, str], dict[str, Any]]],
) -> None:
    form, rendering = PAIR_FORMATS[name], Rendering()
    quick = QuickLines(form.rows, rendering)
    samples = [sample_of(instruction) for instruction in instructions]
    for before, sides, facts in pairs:
        for sample in samples:
            one = found(sample, before, sides, **facts)
            assert quick(one) == plain_lines(one, form.rows, rendering)
