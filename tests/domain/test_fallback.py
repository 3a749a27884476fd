"""Where a rule finds no place in a long text, a finer one cuts it while it is being written."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from app.domain.segments import Cutting, Rule, RuleKind, Splitter, split

Tracer = Callable[[FrameType, str, object], "Tracer"]

PARAGRAPH = "Eight words are in each of these sentences. " * 10 + "\n\n"
SIX = [PARAGRAPH] * 6
SLIDES = Rule(RuleKind.SLIDES)


def by_letters(splitter: Splitter, text: str) -> list[tuple[str, int | None]]:
    pieces = [piece for letter in text for piece in splitter.feed(letter)] + splitter.close()
    return [(piece.text, piece.image_index) for piece in pieces]


def test_paragraphs_are_taken_where_a_long_text_has_no_slides() -> None:
    assert by_letters(Splitter(SLIDES), "".join(SIX)) == [(text, None) for text in SIX]


def test_a_short_text_stays_one_segment() -> None:
    assert by_letters(Splitter(SLIDES), "".join(SIX[:5])) == [("".join(SIX[:5]), None)]


def test_sentences_are_taken_where_there_are_no_paragraphs_either() -> None:
    text = PARAGRAPH.strip() + " "
    pieces = split(text * 6, SLIDES)
    assert [piece.text.count(".") for piece in pieces] == [15, 15, 15, 15]
    assert split(text * 6, Rule(RuleKind.PARAGRAPHS)) == pieces


def test_the_end_of_a_long_text_without_slides_is_cut_as_its_beginning_was() -> None:
    pieces = by_letters(Splitter(SLIDES, before="".join(SIX[:4])), "".join(SIX[4:]))
    assert pieces == [(text, None) for text in SIX[4:]]


def test_a_long_slide_between_others_stays_whole() -> None:
    before = "## Slide 1\nWelcome.\n\n"
    slide = "## Slide 2\n" + "".join(SIX)
    last = "## Slide 3\nGoodbye."
    assert by_letters(Splitter(SLIDES, images=3, before=before), slide + last) == [
        (slide, 1),
        (last, 2),
    ]


def test_from_the_first_slide_on_the_rule_holds_again() -> None:
    text = "".join(SIX) + "## Slide 1\n" + "".join(SIX) + "## Slide 2\nEnd."
    found = by_letters(Splitter(SLIDES, images=2), text)
    assert found == [
        *((paragraph, None) for paragraph in SIX),
        ("## Slide 1\n" + "".join(SIX), 0),
        ("## Slide 2\nEnd.", 1),
    ]


def test_the_pieces_of_a_part_speak_of_its_image() -> None:
    text = "## Slide 1\n" + "".join(SIX)
    assert {image for _, image in by_letters(Splitter(SLIDES, images=1), text)} == {0}
    long = PARAGRAPH.strip() + " "
    parts = Cutting(Rule(RuleKind.PARAGRAPHS), 2, (0, 1)).splitter()
    found = by_letters(parts, long * 6 + "\n\nThe second.\n\nThe third.")
    assert [image for _, image in found] == [0, 0, 0, 0, 1, None]


def test_a_long_line_is_cut_before_it_ends() -> None:
    splitter = Splitter(SLIDES)
    early = splitter.feed(PARAGRAPH.strip() + " " + PARAGRAPH.strip() * 6)
    assert early
    assert "".join(piece.text for piece in early) + splitter.tail == (
        PARAGRAPH.strip() + " " + PARAGRAPH.strip() * 6
    )


PARTS = Rule(RuleKind.PARAGRAPHS)


def test_parts_are_linked_in_their_sequence_and_none_is_beyond_it() -> None:
    text = "Three.\n\nFour.\n\nFive."
    assert by_letters(Cutting(PARTS, 4, (0, 1, 2, 3), 1).splitter("Two.\n\n"), text) == [
        ("Three.\n\n", 2),
        ("Four.\n\n", 3),
        ("Five.", None),
    ]


def test_an_image_without_a_part_is_passed_over() -> None:
    for image, linked in ((None, [0, 2, 3]), (0, [2, 3, None]), (1, [2, 3, None])):
        before = "" if image is None else "Before.\n\n"
        splitter = Cutting(PARTS, 4, (0, 2, 3), image).splitter(before)
        assert [one for _, one in by_letters(splitter, "A.\n\nB.\n\nC.")] == linked


def test_the_rest_of_a_part_that_was_cut_off_speaks_of_its_image() -> None:
    splitter = Cutting(PARTS, 3, (0, 1, 2), 1).splitter("One.\n\nTwo was sto")
    assert by_letters(splitter, "pped.\n\nThree.") == [("pped.\n\n", 1), ("Three.", 2)]
    opened = Cutting(PARTS, 3, (0, 1, 2), 1).splitter("One.\n\nTwo.")
    assert by_letters(opened, "\n\nThree.") == [("\n\nThree.", 2)]


@pytest.mark.parametrize("kind", RuleKind)
@pytest.mark.parametrize("blank", [" ", " \n", "\r", "a", "a ", "a\n\n", "#"])
def test_the_cost_of_a_text_in_small_portions_is_linear(kind: RuleKind, blank: str) -> None:
    def steps(size: int) -> int:
        """How many lines of our code run; a clock would depend on the machine."""
        text = blank * (size // len(blank))
        splitter = Splitter(Rule(kind))
        read = 0

        def count(frame: FrameType, event: str, arg: object) -> Tracer:
            nonlocal read
            read += 1
            # What joins and counts reads all that it is given.
            if event == "call" and frame.f_code.co_name in ("_decide", "has_more_words"):
                read += len(next(str(v) for k, v in frame.f_locals.items() if k != "self"))
            return count

        sys.settrace(count)
        try:
            for at in range(0, len(text), 4):
                splitter.feed(text[at : at + 4])
            splitter.close()
        finally:
            sys.settrace(None)
        return read

    assert steps(6_000) < 3 * steps(3_000)
