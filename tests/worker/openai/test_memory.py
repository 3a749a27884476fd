"""Token ids that a server has written are found again as far as the text is still the same."""

from worker.openai.deltas import Written
from worker.openai.token_cache import Memory, Path

# A text that was written in other tokens than it encodes to, after a prefix of two ids.
PREFIX = "## Slide 1\n\n"
PIECES = [
    "Wel",
    "come",
    " to",
    " the talk.",
    "\n\n",
    "## Slide",
    " 2\n\n",
    "Now 第",
    "三页。",
    "好",
]


def ends_of(pieces: list[str]) -> list[int]:
    ends, at = [], 0
    for piece in pieces:
        at += len(piece)
        ends.append(at)
    return ends


def remembered(memory: Memory, pieces: list[str]) -> str:
    written = Written("".join(pieces), [*range(100, 100 + len(pieces))], ends_of(pieces))
    memory.remember("head", memory.known("head", ""), [1, 2], PREFIX, written)
    return PREFIX + written.text


def known(memory: Memory, prefix: str) -> tuple[str, list[int]]:
    path = memory.known("head", prefix)
    return path.text, [*path.ids]


def test_nothing_is_known_of_another_head() -> None:
    memory = Memory()
    text = remembered(memory, PIECES)
    path = memory.known("another", text)
    assert (path.text, [*path.ids]) == ("", [])


def test_the_whole_text_is_known() -> None:
    memory = Memory()
    text = remembered(memory, PIECES)
    assert known(memory, text) == (text, [1, 2, *range(100, 110)])
    assert known(memory, text + "!") == (text, [1, 2, *range(100, 110)])


def test_a_correction_is_cut_off_at_a_seam_before_it() -> None:
    memory = Memory()
    text = remembered(memory, PIECES)
    at = text.index("## Slide 2")
    assert known(memory, text[:at] + "Another text.") == (
        text[:at],
        [1, 2, 100, 101, 102, 103, 104],
    )
    # In the middle of a word: back to the blank before it.
    corrected = PREFIX + "Welcome to their talk."
    assert known(memory, corrected) == (PREFIX + "Welcome to", [1, 2, 100, 101, 102])


def test_the_prefix_itself_is_known_as_a_whole_only() -> None:
    memory = Memory()
    remembered(memory, PIECES)
    assert known(memory, PREFIX + "Other") == (PREFIX, [1, 2])
    assert known(memory, "## Slide 7\n\n") == ("", [])


def test_no_seam_within_a_word_or_blanks() -> None:
    memory = Memory()
    remembered(memory, ["Wel", "come", "  ", " x"])
    assert known(memory, PREFIX + "Welding") == (PREFIX, [1, 2])
    assert known(memory, PREFIX + "Welcome  ! x")[0] == PREFIX + "Welcome"


def test_a_sign_may_belong_to_the_letters_behind_it() -> None:
    memory = Memory()
    remembered(memory, ["第", "三页", "。", "好"])
    assert known(memory, PREFIX + "第三页。那么") == (PREFIX + "第三页", [1, 2, 100, 101])
    assert known(memory, PREFIX + "第三页。\n那么") == (PREFIX + "第三页", [1, 2, 100, 101])


def test_what_is_continued_is_kept_with_its_own_ids() -> None:
    memory = Memory()
    text = remembered(memory, PIECES)
    path = memory.known("head", text)
    memory.remember("head", path, [], text, Written(" And more", [7, 8], [4, 9]))
    assert known(memory, text + " And more")[1] == [1, 2, *range(100, 110), 7, 8]
    # The longer path has taken the place of the shorter one.
    assert known(memory, text)[1] == [1, 2, *range(100, 110)]


def test_a_token_that_ends_inside_a_character_is_no_seam() -> None:
    memory = Memory()
    memory.remember(
        "head", memory.known("head", ""), [], "", Written("a🙂b", [5, 6, 7], [-1, 2, 3])
    )
    assert known(memory, "a🙂") == ("a🙂", [5, 6])
    assert known(memory, "a")[1] == []


def test_the_least_recently_used_heads_are_forgotten() -> None:
    memory = Memory(heads=2)
    for head in ("a", "b", "a", "c"):
        memory.remember(head, memory.known(head, ""), [], "", Written("x", [1], [1]))
    found: list[Path] = [memory.known(head, "x") for head in ("a", "b", "c")]
    assert [[*path.ids] for path in found] == [[1], [], [1]]
