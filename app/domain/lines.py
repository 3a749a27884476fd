"""Cuts a growing text before the lines that open a segment: slides, headings, paragraphs, lines."""

import re
from collections.abc import Callable
from typing import NamedTuple

from app.domain.headings import fence_after, is_heading, slide_number
from app.domain.words import words

_NEWLINE = re.compile(r"\r\n|[\r\n]")

# A line is a heading by its first characters: a longer one is known before it ends.
_HEADING_CHARACTERS = 200

Opens = Callable[[str, int], bool]
"""Whether a line opens a segment, given how it begins and how many blank lines stand before it."""


class Slice(NamedTuple):
    """What a cutter cuts. slide: the number that the last slide heading names. starts: a part of
    the rule begins with it; False for what goes on with the part that the text before it is in, and
    for what a finer rule makes of the rest of a part."""

    text: str
    slide: int | None = None
    starts: bool = True


def opens_slide(line: str, blank_lines: int) -> bool:
    """A slide heading opens a segment."""
    return slide_number(line) is not None


def opens_section(line: str, blank_lines: int) -> bool:
    """A Markdown heading opens a segment."""
    return is_heading(line)


def opens_paragraph(line: str, blank_lines: int) -> bool:
    """The first line with text after a blank one opens a segment."""
    return blank_lines > 0 and bool(line) and not line.isspace()


def opens_after_gap(line: str, blank_lines: int) -> bool:
    """The first line with text after two blank ones or more opens a segment."""
    return blank_lines > 1 and bool(line) and not line.isspace()


def opens_line(line: str, blank_lines: int) -> bool:
    """Each line with text opens a segment."""
    return bool(line) and not line.isspace()


class LineCutter:
    """Takes text in any portions and gives a slice for each segment that is complete.

    Only "\\n", "\\r" and "\\r\\n" end a line. Nothing is cut inside a code fence, nor before the
    first character that is not blank. at_sight: the first such character of a line decides;
    otherwise the line does, or how it begins if it is long. least_words: a segment with fewer is
    not ended yet.

    fits: the rule opens a segment where the text begins, or has opened one in `before`.
    continues: the text goes on with the segment in which `before` ends, as far as the rule sees,
    and none of it has been given back.
    settled: how many characters of the text no later cut can come before.
    slide: the number of the slide that the open segment is on.
    """

    def __init__(self, opens: Opens, *, at_sight: bool, before: str, least_words: int = 0) -> None:
        self._opens = opens
        self._at_sight = at_sight
        self._least_words = least_words
        self._ready: list[Slice] = []
        self._segment: list[str] = []  # the open segment's complete lines
        self._words = 0  # theirs, counted for least_words only
        self._line: list[str] = []  # the portions of the line that is still open
        self._line_size = 0
        self._decided = False  # it is known whether the open line opens a segment
        self._complete = 0  # characters of complete lines
        self._fence: str | None = None
        self._has_text = False  # the open segment is more than blanks
        self._blank_lines = 0
        self._after_cr = False  # a "\n" that comes now belongs to the "\r" before it
        self._mid_line = False  # the open line began in `before`
        self._begins = False  # the text has only blanks yet, and there is text before it
        self.slide: int | None = None
        self.fits = False
        self.continues = False
        self._remember(before)

    @property
    def settled(self) -> int:
        return self._complete + (self._line_size if self._decided else 0)

    @property
    def tail(self) -> str:
        return "".join(self._segment) + "".join(self._line)

    def feed(self, delta: str) -> list[Slice]:
        self._read(delta)
        return self._take()

    def close(self) -> list[Slice]:
        if self._line:
            self._end_line()
        if self._segment:
            self._give()
        return self._take()

    def _remember(self, before: str) -> None:
        """Read what the text continues: its slide, its open fence and whether its line is open."""
        self._read(before)
        if self._line:
            self._end_line()
            self._mid_line = True
        self.fits = bool(self._take())
        self._begins = self.continues = bool(before) and not before.isspace()
        self._segment = []
        self._words = self._complete = 0
        self._has_text = False

    def _take(self) -> list[Slice]:
        ready, self._ready = self._ready, []
        return ready

    def _read(self, delta: str) -> None:
        if not delta:
            return
        start = 0
        if self._after_cr and delta[0] == "\n":
            self._segment.append("\n")
            self._complete += 1
            start = 1
        for newline in _NEWLINE.finditer(delta, start):
            self._add(delta[start : newline.end()])
            self._end_line()
            start = newline.end()
        self._after_cr = delta[-1] == "\r"
        part = delta[start:]
        if part:
            self._add(part)
            if self._at_sight:
                enough = not part.isspace()
            else:
                enough = self._line_size >= _HEADING_CHARACTERS
            if not self._decided and (enough or self._mid_line):
                self._decide("".join(self._line))

    def _add(self, part: str) -> None:
        self._line.append(part)
        self._line_size += len(part)

    def _decide(self, line: str) -> None:
        """Open a segment with the open line, or not. line: at least how it begins."""
        if self._at_sight and not self._mid_line and (not line or line.isspace()):
            return
        self._decided = True
        start = line[:_HEADING_CHARACTERS]
        if self._mid_line or self._fence is not None or not self._opens(start, self._blank_lines):
            return
        if self._begins:
            self.fits, self.continues, self._begins = True, False, False
        if self._has_text and self._words >= self._least_words:
            self._give()
            self._words = 0
            self._has_text = False
        if not self._at_sight:
            self.slide = slide_number(start)

    def _give(self) -> None:
        text = "".join(self._segment)
        self._ready.append(Slice(text, self.slide, not self.continues))
        self._segment = []
        self.continues = False

    def _end_line(self) -> None:
        line = "".join(self._line)
        content = line.rstrip("\r\n")
        if not self._decided:
            self._decide(content)
        if not self._mid_line:
            self._fence = fence_after(self._fence, content)
        blank = not content or content.isspace()
        self._blank_lines = self._blank_lines + 1 if blank and not self._mid_line else 0
        self._has_text = self._has_text or not blank
        self._begins = self._begins and blank
        if self._least_words:
            self._words += words(line)
        self._segment.append(line)
        self._complete += len(line)
        self._line, self._line_size = [], 0
        self._decided = self._mid_line = False
