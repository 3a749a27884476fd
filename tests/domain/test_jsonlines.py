"""JSON is one line, whatever its reader takes for the end of one, and says what it said before."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.jsonlines import json_of
from app.domain.prefixes import Piece
from tests.domain.texts import TEXTS

ENDS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\u2028\u2029\x85\\\n"))


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_easily_damaged_is_one_line(name: str) -> None:
    json = json_of({"text": TEXTS[name]})
    assert len(json.decode().splitlines()) == 1
    assert orjson.loads(json) == {"text": TEXTS[name]}


@given(ENDS, ENDS)
def test_a_text_cut_anywhere_gives_the_same_json(before: str, after: str) -> None:
    whole = json_of(before + after)
    assert b'"' + Piece.of(before).json + Piece.of(after).json + b'"' == whole
    assert orjson.loads(whole) == before + after
