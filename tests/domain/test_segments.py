import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.headings import slide_number
from app.domain.rules import suggest_rule
from app.domain.segments import Rule, RuleKind, Splitter, split, words
from tests.domain.texts import DEMO, TEXTS

RULES = [
    Rule(RuleKind.SLIDES),
    Rule(RuleKind.HEADINGS),
    Rule(RuleKind.PARAGRAPHS),
    Rule(RuleKind.SENTENCES, 10),
    Rule(RuleKind.GAPS, 10),
    Rule(RuleKind.LINES, 10),
    Rule(RuleKind.GROUPS, 10),
]
BITS = (
    *(
        "\r",
        "\n",
        "\r\n",
        "\n\n",
        "\u2028",
        "\x0b",
        " ",
        "\t",
        "#",
        "## ",
        "## Slide 1",
        "Slide 2:",
    ),
    *(
        "第3页",
        "**Slide 4:** x",
        "```",
        "~~~\n",
        "- ",
        "。",
        ". ",
        "! A",
        "?”",
        "👨‍👩‍👧",
        "e\u0301",
        "a",
    ),
    # Long texts without a place to cut by are cut by a finer rule.
    *("one two three four five six seven. " * 25, "A line of six whole words.\n" * 30, "六" * 150),
    *("one two three four five six ", "一二三四五六", "\u0301", "\u200d", "*", "`", "\ufeff"),
)
texts = st.lists(st.sampled_from(BITS), max_size=30).map("".join)
rules = st.sampled_from(RULES)
properties = settings(max_examples=300, deadline=None)


def texts_of(text: str, rule: Rule) -> list[str]:
    return [piece.text for piece in split(text, rule)]


def output(name: str) -> str:
    stored = json.loads((DEMO / name).read_text(encoding="utf-8"))
    assert isinstance(stored["output"], str)
    return stored["output"]


@given(texts, rules)
@properties
def test_segments_concatenate_to_the_text(text: str, rule: Rule) -> None:
    pieces = texts_of(text, rule)
    assert "".join(pieces) == text
    assert all(pieces)


@given(st.text(), rules)
@properties
def test_any_unicode_text_concatenates_to_itself(text: str, rule: Rule) -> None:
    assert "".join(texts_of(text, rule)) == text


@given(texts, rules, st.lists(st.integers(1, 6), min_size=1, max_size=8))
@properties
def test_any_portions_give_the_same_segments(text: str, rule: Rule, sizes: list[int]) -> None:
    splitter = Splitter(rule, images=3)
    pieces = []
    at = turn = 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        pieces += splitter.feed(text[at : at + size])
        at, turn = at + size, turn + 1
        given_back = "".join(piece.text for piece in pieces)
        assert given_back + splitter.tail == text[:at]
    assert pieces + splitter.close() == split(text, rule, images=3)


@given(texts, texts, rules)
@properties
def test_a_piece_given_while_writing_is_never_taken_back(text: str, more: str, rule: Rule) -> None:
    early = Splitter(rule).feed(text)
    assert split(text + more, rule)[: len(early)] == early


@given(texts, rules)
@properties
def test_a_segment_begins_with_a_newline_only_where_the_text_does(text: str, rule: Rule) -> None:
    assert not any(piece.startswith(("\r", "\n")) for piece in texts_of(text, rule)[1:])


@given(texts, rules, st.integers(0, 40))
@properties
def test_continuing_behind_a_segment_is_splitting_there(text: str, rule: Rule, cut: int) -> None:
    pieces = split(text, rule, images=3)
    cut = min(cut, len(pieces))
    before = "".join(piece.text for piece in pieces[:cut])
    splitter = Splitter(rule, images=3, before=before)
    assert splitter.feed(text[len(before) :]) + splitter.close() == pieces[cut:]


@given(texts, texts, rules)
@properties
def test_continuing_anywhere_is_lossless(before: str, text: str, rule: Rule) -> None:
    splitter = Splitter(rule, before=before)
    assert "".join(piece.text for piece in splitter.feed(text) + splitter.close()) == text


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
@pytest.mark.parametrize("name", TEXTS)
def test_difficult_texts_come_back_exactly(name: str, rule: Rule) -> None:
    assert "".join(texts_of(TEXTS[name], rule)) == TEXTS[name]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_blanks_alone_are_one_segment_and_nothing_is_none(rule: Rule) -> None:
    assert texts_of(" \n\r\n\t\n", rule) == [" \n\r\n\t\n"]
    assert texts_of("", rule) == []


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("## Slide 3", 3),
        ("##Slide 12: Aims", 12),
        ("# SLIDE 7 - Results", 7),
        ("**Slide 3:** title", 3),
        ("**Slide 3: title**", 3),
        ("**Slide 3**", 3),
        ("*Slide 3*", 3),
        ("Slide 3: ...", 3),
        ("Slide 3 of 16: Method", 3),
        ("Slide 3 — Method", 3),
        ("[Slide 3]", 3),
        ("Page 4:", 4),
        ("# 第3页", 3),
        ("### 第 3 页 总结", 3),
        ("第三页：", 3),
        ("第十页", 10),
        ("第十二页：", 12),
        ("第二十页", 20),
        ("第九十九页", 99),
        ("【第3页】", 3),
        ("【第3页】标题", 3),
        ("第３页：", 3),
        ("第二张幻灯片：", 2),
        ("**第4页：标题**", 4),
        ("幻灯片 3", 3),
        ("幻灯片三：目标", 3),
        ("\ufeff## Slide 1", 1),
        ("## Slide 3  ", 3),
        ("Slide 3 shows the growth", None),
        ("**Slide 3** shows the growth", None),
        ("第三页的图表显示了增长", None),
        ("Slide 3-5: overview", None),
        ("Slide 3.5: half", None),
        ("Slides", None),
        ("- Slide 3: in an agenda", None),
        ("1. ## Slide 3", None),
        ("   ## Slide 3", None),
        ("On slide 3:", None),
        ("[Slide 3](#slide-3)", None),
        ("## Results", None),
        ("", None),
    ],
)
def test_a_slide_heading_is_known_by_its_line(line: str, number: int | None) -> None:
    assert slide_number(line) == number


def test_slides_speak_of_their_images() -> None:
    pieces = split("Welcome.\n## Slide 1\nA\n\n## Slide 3\nB\n## Slide 0\nC", RULES[0], images=2)
    assert [(piece.text, piece.image_index) for piece in pieces] == [
        ("Welcome.\n", None),
        ("## Slide 1\nA\n\n", 0),
        ("## Slide 3\nB\n", None),
        ("## Slide 0\nC", None),
    ]


def test_blanks_before_the_first_heading_belong_to_it() -> None:
    pieces = split("\n \n## Slide 1\nA", RULES[0], images=1)
    assert [(piece.text, piece.image_index) for piece in pieces] == [("\n \n## Slide 1\nA", 0)]


def test_a_text_without_slide_headings_is_one_segment() -> None:
    assert len(split("One.\n\n# Two\n\nThree.", RULES[0])) == 1


def test_a_continuation_stays_on_the_slide_it_began_on() -> None:
    splitter = Splitter(RULES[0], images=3, before="## Slide 2\nHalf of it. ")
    pieces = splitter.feed("The rest.\n## Slide 3\nNext.") + splitter.close()
    assert [(piece.text, piece.image_index) for piece in pieces] == [
        ("The rest.\n", 1),
        ("## Slide 3\nNext.", 2),
    ]


def test_text_that_continues_a_line_is_no_heading() -> None:
    splitter = Splitter(RULES[0], before="See ")
    assert len(splitter.feed("## Slide 2\n## Slide 3\n") + splitter.close()) == 2


def test_an_open_fence_is_remembered_from_the_prefix() -> None:
    splitter = Splitter(RULES[1], before="# One\n```\ncode\n")
    pieces = splitter.feed("# comment\n```\n# Two\n") + splitter.close()
    assert [piece.text for piece in pieces] == ["# comment\n```\n", "# Two\n"]


@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: rule.kind)
@pytest.mark.parametrize("fence", ["```", "~~~~", "  ```py"])
def test_nothing_is_cut_inside_a_code_fence(rule: Rule, fence: str) -> None:
    close = fence.strip().removesuffix("py")
    text = f"Code:\n{fence}\n## Slide 1\n\n# two\n\n## Slide 2\n{close}\n"
    assert texts_of(text, rule) == [text]


def test_inline_code_opens_no_fence() -> None:
    assert texts_of("```x``` is code\n# One\n", RULES[1]) == ["```x``` is code\n", "# One\n"]


def test_headings_are_markdown_headings_at_the_margin() -> None:
    text = "# One\ntext\n## Two\n- # item\n  # in item\n#hashtag\n### Slide 2\nend"
    pieces = split(text, RULES[1], images=2)
    assert [(piece.text, piece.image_index) for piece in pieces] == [
        ("# One\ntext\n", None),
        ("## Two\n- # item\n  # in item\n#hashtag\n", None),
        ("### Slide 2\nend", 1),
    ]


def test_blank_lines_part_paragraphs_in_every_newline_form() -> None:
    assert texts_of("A\n\nB\r\n\r\nC\r\rD\n \nE\nF", RULES[2]) == [
        "A\n\n",
        "B\r\n\r\n",
        "C\r\r",
        "D\n \n",
        "E\nF",
    ]


def test_only_cr_and_lf_end_a_line() -> None:
    assert texts_of("A\u2028\u2028B\u0085\u0085C\x0b\x0bD", RULES[2]) == [
        "A\u2028\u2028B\u0085\u0085C\x0b\x0bD"
    ]


def test_a_crlf_in_two_portions_is_one_newline() -> None:
    splitter = Splitter(RULES[2])
    pieces = splitter.feed("A\r") + splitter.feed("\nB") + splitter.close()
    assert [piece.text for piece in pieces] == ["A\r\nB"]


def test_a_paragraph_is_given_when_the_next_one_begins() -> None:
    splitter = Splitter(RULES[2])
    assert splitter.feed("A\n\n") == []
    assert splitter.feed(" \n") == []
    assert [piece.text for piece in splitter.feed("B")] == ["A\n\n \n"]
    assert splitter.tail == "B"


TEN = "one two three four five six seven eight nine"


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        (f"{TEN} ten. Next.", [f"{TEN} ten.", " Next."]),
        (f"{TEN} ten.  \n\n Next.", [f"{TEN} ten.  \n\n", " Next."]),
        (f"{TEN} “ten.” Next.", [f"{TEN} “ten.”", " Next."]),
        (f"{TEN} ten\nNext.", [f"{TEN} ten\n", "Next."]),
        (f"{TEN} by Dr. Who.", [f"{TEN} by Dr. Who."]),
        (f"{TEN} ten, e.g. this.", [f"{TEN} ten, e.g. this."]),
        (f"{TEN} ten 3.5 Next", [f"{TEN} ten 3.5 Next"]),
        (f"{TEN} ten\n1. First", [f"{TEN} ten\n", "1. First"]),
        (f"{TEN}. Ten. Next.", [f"{TEN}. Ten.", " Next."]),
        ("一二三四五六七八九十。下一句。", ["一二三四五六七八九十。", "下一句。"]),
        ("一二三四五六七八九十。」下一句。", ["一二三四五六七八九十。」", "下一句。"]),
        ("一二三四五六七八九十！\u0301下", ["一二三四五六七八九十！\u0301", "下"]),
    ],
)
def test_a_group_ends_with_the_sentence_that_fills_it(text: str, segments: list[str]) -> None:
    assert texts_of(text, RULES[3]) == segments


@pytest.mark.parametrize("count", [9, 2001, 0, -1])
def test_a_group_of_sentences_has_ten_to_two_thousand_words(count: int) -> None:
    with pytest.raises(ValueError, match="10 to 2000"):
        Rule(RuleKind.SENTENCES, count)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Don't co-operate, it's 3 words", 5),
        ("第3页的图表", 6),
        ("GPT-4模型 works", 4),
        ("カレー", 3),
        ("한국어도 있습니다", 2),
        ("café cafe\u0301", 2),
        ("— … 👍", 0),
    ],
)
def test_words_are_counted_in_every_script(text: str, count: int) -> None:
    assert words(text) == count


def test_sixteen_slides_are_sixteen_segments_with_their_images() -> None:
    pieces = split(output("lecture_16_slides.en.json"), Rule(RuleKind.SLIDES), images=16)
    assert [piece.image_index for piece in pieces] == list(range(16))
    assert all(piece.text.startswith("## Slide ") for piece in pieces)


def test_the_review_is_cut_into_its_paragraphs() -> None:
    pieces = texts_of(output("film_review.zh.json"), Rule(RuleKind.PARAGRAPHS))
    assert len(pieces) == 16
    assert all(piece.endswith("\n\n") for piece in pieces[:-1])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (output("lecture_16_slides.en.json"), RuleKind.SLIDES),
        (output("film_review.zh.json"), RuleKind.PARAGRAPHS),
        ("# A\na\n# B\nb\n## C\nc", RuleKind.HEADINGS),
        ("\n\n# A\na\n# B\nb", RuleKind.SENTENCES),
        ("```\n# A\n# B\n# C\n```", RuleKind.SENTENCES),
        ("One. Two. Three.", RuleKind.SENTENCES),
        ("", RuleKind.SENTENCES),
    ],
)
def test_the_suggested_rule_fits_the_text(text: str, kind: RuleKind) -> None:
    assert suggest_rule(text) is kind
