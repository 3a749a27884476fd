"""Texts that are made to cost: for each a function of its length in characters, roughly."""

from collections.abc import Callable

Text = Callable[[int], str]


def _repeated(unit: str) -> Text:
    return lambda size: (unit * (size // len(unit) + 1))[:size]


def _around(before: str, unit: str, after: str) -> Text:
    return lambda size: before + unit * (size // len(unit)) + after


def _nested(opening: str, closing: str) -> Text:
    half = len(opening) + len(closing)
    return lambda size: opening * (size // half) + closing * (size // half)


HOSTILE: dict[str, Text] = {
    "regional indicators": _repeated("\U0001f1e9"),
    "regional indicators of flags": _repeated("\U0001f1e9\U0001f1ea"),
    "a letter and regional indicators": _around("a", "\U0001f1e9", "b"),
    "regional indicators with joiners": _repeated("\U0001f1e9\u200d"),
    "regional indicators with marks": _repeated("\U0001f1e9\u0301"),
    "combining marks": _repeated("\u0301"),
    "a letter with combining marks": _around("a", "\u0301", "b"),
    "letters with a mark each": _repeated("e\u0301"),
    "enclosing marks": _repeated("\u20dd"),
    "joiners": _repeated("\u200d"),
    "a chain of joined people": _repeated("\U0001f469\u200d"),
    "families": _repeated("\U0001f468\u200d\U0001f469\u200d\U0001f467"),
    "skin tones": _repeated("\U0001f3fd"),
    "variation selectors": _repeated("\ufe0f"),
    "keycaps": _repeated("1\ufe0f\u20e3"),
    "tag characters": _around("\U0001f3f4", "\U000e0067", "\U000e007f"),
    "zero-width spaces": _repeated("\u200b"),
    "zero-width no-break spaces": _repeated("\ufeff"),
    "word joiners": _repeated("a\u2060"),
    "prepended marks": _repeated("\u0600"),
    "hangul leading consonants": _repeated("\u1100"),
    "hangul vowels": _repeated("\u1161"),
    "hangul syllables": _repeated("\u1100\u1161\u11a8"),
    "indic conjuncts": _repeated("\u0915\u094d"),
    "thai": _repeated("\u0e01\u0e34\u0e48"),
    "one letter": _repeated("a"),
    "one letter, then another script": _around("", "a", "\u00e9"),
    "one digit": _repeated("7"),
    "underscores": _repeated("_"),
    "apostrophes": _repeated("'"),
    "letters and apostrophes": _repeated("a'"),
    "letters and hyphens": _around("", "a-", "\u00e9"),
    "letters and typographic apostrophes": _around("", "a\u2019", "\u0301"),
    "spaces": _repeated(" "),
    "spaces, then a mark": _around("a", " ", "\u0301"),
    "tabs and spaces": _repeated("\t "),
    "no-break spaces": _repeated("\u00a0"),
    "a slide heading and spaces": _around("Slide 3", " ", "x"),
    "a slide heading in brackets and spaces": _around("# [Slide 3", " ", "] x"),
    "a hash and spaces": _around("#", " ", "x"),
    "a list item and spaces": _around("- ", " ", "x"),
    "slide headings": _repeated("## Slide 1\n"),
    "newlines": _repeated("\n"),
    "carriage returns": _repeated("\r"),
    "mixed newlines": _repeated("\r\n\n\r"),
    "lines of one letter": _repeated("a\n"),
    "vertical tabs": _repeated("\x0b\x0c\x85\u2028"),
    "brackets": _nested("[", "]"),
    "links": _nested("[a](", ")"),
    "quotes": _repeated("> "),
    "emphasis": _repeated("*a_"),
    "open fences": _repeated("```\n~~~\n"),
    "one long fence": _repeated("`"),
    "full stops": _repeated("."),
    "abbreviations": _repeated("e.g. "),
    "sentences of one letter": _repeated("a. B? "),
    "chinese full stops": _repeated("\u3002"),
    "chinese": _repeated("\u7684"),
    "kana with the long mark": _repeated("\u30a2\u30fc"),
    "controls of direction": _repeated("\u202e\u202c"),
    "isolates": _nested("\u2067", "\u2069"),
    "right to left": _repeated("\u05d0\u05b8 "),
    "mathematical letters": _repeated("\U0001d400"),
    "unassigned": _repeated("\U000e1000"),
    "private use": _repeated("\ue000"),
    "soft hyphens": _repeated("a\u00ad"),
    "ligatures": _repeated("\ufdfa"),
}
