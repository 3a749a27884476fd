"""What a line of Markdown says about structure: slide headings, headings and code fences.

Every function takes one line without its newline. Headings count only at the margin: an indented
one, or one behind a list marker, belongs to a list item.
"""

import re

_DIGITS = "一二三四五六七八九"
_NUMBER = rf"\d{{1,3}}|[{_DIGITS}]?十[{_DIGITS}]?|[{_DIGITS}]"
_SLIDE = re.compile(
    rf"""\ufeff?
    (?P<hash>\#{{1,6}}[^\S\r\n]*)?
    [*_]{{0,3}}[\[【(（「]?[*_]{{0,3}}
    (?: (?:slide|page|幻灯片) [^\S\r\n]* \#? (?P<after>{_NUMBER})
      | 第[^\S\r\n]*(?P<inside>{_NUMBER})[^\S\r\n]*[页頁张張](?:幻灯片|ppt)? )
    (?(hash) (?![a-z\d])
      | (?:\s*+(?:/|of\b)\s*+\d{{1,3}})? \s*+ [\]】)）」]? [*_]{{0,3}}
        # A plain line is a heading only if the number is followed by nothing, by a separator, or
        # stands in brackets: "Slide 3 shows the growth" is prose. Blanks are taken whole (*+): to
        # try each way to share them out would cost their number squared.
        (?: (?<=[\]】])(?!\() | \s*+ (?: \Z | [:：|—–] | -+(?=\s|\Z) | \.(?=\s|\Z) ) ) )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HEADING = re.compile(r"\ufeff?#{1,6}(?:[ \t]|\Z)")
_FENCE = re.compile(r"\s*(?:(?:[-*+]|\d{1,9}[.)])\s+)?(`{3,}|~{3,})(.*)\Z", re.DOTALL)


def slide_number(line: str) -> int | None:
    """The number of the slide that this line announces ("## Slide 3", "**Slide 3:** Aims",
    "第三页：", "【第3页】", "幻灯片 3"); None if it is no slide heading."""
    match = _SLIDE.match(line)
    if match is None:
        return None
    return _number(match["after"] or match["inside"])


def is_heading(line: str) -> bool:
    """Whether this line is a Markdown heading made with # (CommonMark 0.31, section 4.2).

    Underlined headings do not count: a text that is still being written cannot know them in time.
    """
    return _HEADING.match(line) is not None


def fence_after(fence: str | None, line: str) -> str | None:
    """The marks of the code fence that is open after this line, None if none is.

    fence: what was open before the line (CommonMark 0.31, section 4.5; any indentation counts,
    since fences stand in lists too).
    """
    if fence is not None:
        marks = line.strip()
        closes = len(marks) >= len(fence) and marks == fence[0] * len(marks)
        return None if closes else fence
    match = _FENCE.match(line)
    if match is None or (match[1][0] == "`" and "`" in match[2]):
        return None
    return match[1]


def _number(numeral: str) -> int:
    if "十" in numeral:
        tens, _, ones = numeral.partition("十")
        return 10 * (_DIGITS.find(tens) + 1 if tens else 1) + (
            _DIGITS.find(ones) + 1 if ones else 0
        )
    if numeral in _DIGITS:
        return _DIGITS.find(numeral) + 1
    return int(numeral)
