import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.text import SPECIAL_STRINGS, defect, keep_newlines, language, normalise_newlines
from tests.domain.texts import TEXTS

lines = st.text(alphabet="ab \r\n\u2028é。", max_size=30)
properties = settings(max_examples=400, deadline=None)


@pytest.mark.parametrize("name", TEXTS)
def test_difficult_texts_have_no_defect(name: str) -> None:
    assert defect(TEXTS[name]) is None


@pytest.mark.parametrize("special", SPECIAL_STRINGS)
def test_a_special_string_of_the_models_is_named_with_its_place(special: str) -> None:
    sentence = defect(f"ab{special} and <|im_end|>")
    assert sentence is not None
    assert special in sentence
    assert "character 3," in sentence


@pytest.mark.parametrize("text", ["<image>", "<|im_end>", "<think>", "im_end", "<| im_end |>"])
def test_what_only_looks_like_a_special_string_is_fine(text: str) -> None:
    assert defect(text) is None


def test_nul_and_lone_surrogates_are_named_with_their_place() -> None:
    assert "NUL character (U+0000) at character 2" in (defect("a\x00b") or "")
    assert "U+D83D) at character 1" in (defect("\ud83d") or "")


@pytest.mark.parametrize("name", TEXTS)
def test_an_unchanged_text_keeps_every_newline(name: str) -> None:
    text = TEXTS[name]
    assert keep_newlines(text, normalise_newlines(text)) == text
    assert keep_newlines(text, normalise_newlines(text).replace("\n", "\r\n")) == text


@pytest.mark.parametrize("name", TEXTS)
def test_a_typed_word_leaves_the_other_newlines_alone(name: str) -> None:
    text = TEXTS[name]
    assert keep_newlines(text, normalise_newlines(text) + " x") == text + " x"


@given(lines, lines)
@properties
def test_kept_newlines_read_as_typed(base: str, typed: str) -> None:
    assert normalise_newlines(keep_newlines(base, typed)) == normalise_newlines(typed)


@given(lines, lines)
@properties
def test_the_form_in_which_newlines_arrive_does_not_matter(base: str, typed: str) -> None:
    arrived = normalise_newlines(typed).replace("\n", "\r\n")
    assert keep_newlines(base, arrived) == keep_newlines(base, typed)


@pytest.mark.parametrize(
    ("base", "typed", "kept"),
    [
        ("One\r\nTwo\r\n", "One\nTwo!\n", "One\r\nTwo!\r\n"),
        ("One\rTwo\r\nThree", "One\nTwo\nThree\nFour", "One\rTwo\r\nThree\nFour"),
        ("One\r\nTwo", "One\n\nTwo", "One\r\n\nTwo"),
        # The typed newline behind a lone CR would make one CRLF of two newlines.
        ("a\rb", "a\n\nb", "a\r\rb"),
        ("a\rX\nb", "a\n\nb", "a\r\rb"),
        ("a\r", "a\n\n\n", "a\r\r\r"),
    ],
)
def test_only_changed_newlines_take_the_form_of_the_editor(
    base: str, typed: str, kept: str
) -> None:
    assert keep_newlines(base, typed) == kept


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("", "en"),
        ("123 …", "en"),
        ("The chart shows growth.", "en"),
        ("Das Diagramm", "en"),
        ("图表显示了增长。", "zh"),
        ("GPT-4 模型和 Transformer 模型在图表中表现良好。", "zh"),
        ("The word 猫 means cat, and that is all there is to say.", "en"),
        ("これは図表です。", "ja"),
        ("技術報告書の概要", "ja"),
        ("한국어도 있습니다", "ko"),
    ],
)
def test_the_language_follows_the_script(text: str, tag: str) -> None:
    assert language(text) == tag
