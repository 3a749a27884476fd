"""Cuts a growing text into groups of sentences of about a given number of words."""

import unicodedata

from app.domain.lines import Slice
from app.domain.words import words

_LATIN_ENDS = frozenset(".!?…")
_CJK_ENDS = frozenset("。！？｡")
_CLOSERS = frozenset("\"'”’)]}*_`）】》」』〉")
_ABBREVIATED = "al cf dr e.g eq eqs etc fig figs i.e mr mrs ms no pp prof st vol vs"
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_PORTION = 256

# How sure it is that the text before the mark is a whole sentence.
_NONE, _SOFT, _FIRM, _LINE = range(4)


class SentenceCutter:
    """Takes text in any portions and gives a slice for each group that is complete.

    A group ends at the first end of a sentence where it has `group_words` words. A sentence ends
    in a newline; in . ! ? … and a blank, unless the next character is a lower-case letter or the
    dot belongs to an abbreviation, an initial or a list number; in 。！？. Quotes and brackets that
    close behind the mark stay with it. Blanks begin the next group, newlines end theirs.
    """

    def __init__(self, group_words: int) -> None:
        self._group_words = group_words
        self._ready: list[Slice] = []
        self._group: list[str] = []  # whole sentences
        self._words = 0
        self._open: list[str] = []  # the text after them, beginning at offset _origin
        self._origin = 0
        self._at = 0
        self._mark = 0
        self._sure = _NONE
        self._blank = False  # a blank stands between the mark and the next character
        self._word = ""  # the first characters since the last blank, to know abbreviations

    @property
    def tail(self) -> str:
        return "".join(self._group) + "".join(self._open)

    def feed(self, delta: str) -> list[Slice]:
        # Portions keep the cost linear: each sentence joins only its own text and one portion.
        for start in range(0, len(delta), _PORTION):
            portion = delta[start : start + _PORTION]
            self._open.append(portion)
            for char in portion:
                self._read(char)
                self._at += 1
        ready, self._ready = self._ready, []
        return ready

    def close(self) -> list[Slice]:
        rest = self.tail
        self._group, self._open = [], []
        return [Slice(rest)] if rest else []

    def _read(self, char: str) -> None:
        if char in "\r\n":
            self._set_mark(_LINE)
            self._word = ""
        elif char.isspace():
            self._blank = True
            self._word = ""
        else:
            if self._sure and self._extends(char):
                self._mark = self._at + 1
            else:
                self._decide(char)
            if char in _CJK_ENDS:
                self._set_mark(_FIRM)
            elif char in _LATIN_ENDS and self._sure != _FIRM and not self._is_abbreviation(char):
                self._set_mark(_SOFT)
            if len(self._word) < 8:
                self._word += char

    def _set_mark(self, sure: int) -> None:
        self._mark, self._sure, self._blank = self._at + 1, sure, False

    def _extends(self, char: str) -> bool:
        """Whether char still belongs to the mark: a closing quote, a combining mark, a joiner."""
        if self._blank or self._sure == _LINE:
            return False
        return char in _CLOSERS or unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf")

    def _is_abbreviation(self, char: str) -> bool:
        if char != ".":
            return False
        word = self._word.lstrip("([*_\"'“‘")
        return (
            len(word) == 1 or word.lower() in _ABBREVIATIONS or (len(word) < 3 and word.isdigit())
        )

    def _decide(self, char: str) -> None:
        if self._sure >= _FIRM or (self._sure == _SOFT and self._blank and not char.islower()):
            self._end_sentence()
        self._sure = _NONE

    def _end_sentence(self) -> None:
        text = "".join(self._open)
        end = self._mark - self._origin
        self._group.append(text[:end])
        self._words += words(text[:end])
        self._open, self._origin = [text[end:]], self._mark
        if self._words >= self._group_words:
            self._ready.append(Slice("".join(self._group)))
            self._group, self._words = [], 0
