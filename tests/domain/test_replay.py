import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.replay import continuation

LATER = ["## Slide 2\nThe turbine at Basel has 12 blades.\n", "The turbine's wheel turns.\n"]


def carried(rejected: str, chosen: str, later: str) -> str:
    return continuation(["", later], 1, [(rejected, chosen)])


def test_without_corrections_the_original_follows() -> None:
    assert continuation(["One.\n", *LATER], 1, []) == "".join(LATER)
    assert continuation(LATER, 2, []) == ""
    assert continuation(LATER, 9, []) == ""


@pytest.mark.parametrize(
    ("rejected", "chosen", "later", "expected"),
    [
        ("A turbine.", "A compressor.", "One turbine, turbines.", "One compressor, turbines."),
        ("In Basel.", "In Geneva.", "Basel and BASEL", "Geneva and BASEL"),
        ("It has 12.", "It has 15.", "12 and 120", "15 and 120"),
        ("AI helps.", "ML helps.", "AI, AIs", "ML, AIs"),
        ("by New York", "by San Francisco", "New York.", "San Francisco."),
        ("机器学习很好", "深度学习很好", "机器翻译", "深度翻译"),
        ("图表显示增长", "图表显示下降", "增长率", "下降率"),
        ("在2019年发布", "在2020年发布", "2019年和20190", "2020年和20190"),
    ],
)
def test_a_replaced_term_is_carried_on(
    rejected: str, chosen: str, later: str, expected: str
) -> None:
    assert carried(rejected, chosen, later) == expected


@pytest.mark.parametrize(
    ("rejected", "chosen", "later"),
    [
        ("This is the one.", "This was the one.", "It is here."),
        ("He is at home", "He is in home", "at sea"),
        ("A big turbine.", "A turbine.", "A big wheel."),
        ("A turbine.", "A big turbine.", "A turbine."),
        ("他像我", "他象我", "画像"),
        ("turbine, turbine", "compressor, turbine", "turbine"),
        ("Slide 2.", "Slide 3.", "## Slide 2\nText"),
    ],
)
def test_what_is_not_a_term_is_not_carried_on(rejected: str, chosen: str, later: str) -> None:
    assert carried(rejected, chosen, later) == later


def test_corrections_apply_in_order() -> None:
    corrections = [("A turbine.", "A compressor."), ("My compressor.", "My generator.")]
    assert continuation(LATER, 1, corrections) == "The turbine's wheel turns.\n"
    assert continuation(["", "One turbine."], 1, corrections) == "One generator."


def test_swapped_terms_do_not_undo_each_other() -> None:
    swapped = carried("Basel lies near Paris now", "Paris lies near Basel now", "Basel, Paris")
    assert swapped == "Basel, Paris"


def test_what_is_generated_already_is_left_off() -> None:
    whole = continuation(LATER, 0, [("Basel", "Geneva")])
    assert continuation(LATER, 0, [("Basel", "Geneva")], whole[:20]) == whole[20:]
    assert continuation(LATER, 0, [("Basel", "Geneva")], whole) == ""


def test_another_beginning_is_refused() -> None:
    with pytest.raises(ValueError, match="not the beginning"):
        continuation(LATER, 0, [], "Something else")
    with pytest.raises(ValueError, match="negative"):
        continuation(LATER, -1, [])


@given(st.lists(st.text(), max_size=4), st.lists(st.tuples(st.text(), st.text()), max_size=3))
@settings(max_examples=200, deadline=None)
def test_it_is_deterministic(original: list[str], corrections: list[tuple[str, str]]) -> None:
    first = continuation(original, 0, corrections)
    assert continuation(original, 0, corrections) == first


@given(st.lists(st.text(alphabet="ab .\r\n\u2028一", max_size=12), max_size=4))
@settings(max_examples=200, deadline=None)
def test_text_without_the_term_is_untouched(original: list[str]) -> None:
    assert continuation(original, 0, [("turbine", "compressor")]) == "".join(original)
