"""Lines that are written quickly are the plain ones, whatever stands in the texts."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.corrections import Kind
from app.domain.prefixes import EMPTY, Piece
from app.domain.quality import Setting
from app.pairs.formats import PAIR_FORMATS, Rendering
from app.pairs.lines import plain_lines, quick_lines
from app.pairs.source import Found, SampleFacts

# What PostgreSQL stores as text: anything but NUL and halves of surrogate pairs.
STORED = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
TRAPS = st.sampled_from(
    ["\\u0000\\u0000p", "\\\\u0000\\u0000c", "\\", '"', "\x01", "\x1f\b\f", "\x7f", "\u2028", "😀"]
)
TEXT = st.lists(STORED | TRAPS, max_size=5).map("".join)
SIDES = st.tuples(TEXT, TEXT).filter(lambda sides: all(sides) and sides[0] != sides[1])


def found(instruction: str, before: list[str], chosen: str, rejected: str) -> Found:
    prefix = EMPTY
    for text in before:
        prefix = prefix.grow(Piece.of(text))
    sample = SampleFacts(
        id=1,
        project="lectures",
        source_id="s\\1",
        instruction=instruction,
        images=("3f9ac1",),
        image_files=("images/3f9ac1.png",),
        setting=Setting("en", b"", 0.0, special=False, control=False),
    )
    return Found(
        pair_id=7,
        cursor=3,
        sample=sample,
        prefix=prefix,
        chosen=Piece.of(chosen),
        rejected=Piece.of(rejected),
        kind=Kind.REWRITE,
        on_policy=True,
        position=len(before),
        ends_output=True,
        annotator="lin",
        policy=None,
        created_at=datetime(2026, 11, 25, tzinfo=UTC),
        truncated=False,
    )


@pytest.mark.parametrize("name", [name for name, form in PAIR_FORMATS.items() if form.verbatim])
@pytest.mark.parametrize("address", [None, "https://studio.example/images/"])
@given(instruction=TEXT, before=st.lists(TEXT, max_size=4), sides=SIDES)
@example(instruction="\\", before=["\\", "u0000\\u0000p"], sides=("\\u0000\\u0000c", "\\"))
def test_quick_lines_are_the_plain_ones(
    name: str, address: str | None, instruction: str, before: list[str], sides: tuple[str, str]
) -> None:
    one, form = found(instruction, before, *sides), PAIR_FORMATS[name]
    rendering = Rendering(image_url=address.__add__ if address else None)
    quick = quick_lines(one, form.rows, rendering)
    assert quick == plain_lines(one, form.rows, rendering)
    assert all(line.endswith(b"}\n") and orjson.loads(line) for line in quick)
