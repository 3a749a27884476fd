"""Cuts a growing text before the lines that open a segment: slides, headings, paragraphs."""

import re
from collections.abc import Callable

from app.domain.headings import fence_after, is_heading, slide_number

_NEWLINE = re.compile(r"\r\n|[\r\n]")

Opens = Callable[[str, bool], bool]
"""Whether a line opens a segment, given the line and whether a blank line stands before it."""


def opens_slide(line: str, after_blank: bool) -> bool:
    """A slide heading opens a segment."""
    return slide_number(line) is not None


def opens_section(line: str, after_blank: bool) -> bool:
    """A Markdown heading opens a segment."""
    return is_heading(line)


def opens_paragraph(line: str, after_blank: bool) -> bool:
    """The first line with text after a blank one opens a segment."""
    return after_blank and bool(line) and not line.isspace()


class LineCutter:
    """Takes text in any portions and gives (text, slide number) for each segment that is complete.

    Only "\\n", "\\r" and "\\r\\n" end a line. Nothing is cut inside a code fence, nor before the
    first character that is not blank. at_sight: the first such character of a line decides;
    otherwise the whole line does.
    """

    def __init__(self, opens: Opens, *, at_sight: bool, before: str) -> None:
        self._opens = opens
        self._at_sight = at_sight
        self._ready: list[tuple[str, int | None]] = []
        self._segment: list[str] = []  # the open segment's complete lines
        self._line: list[str] = []  # the portions of the line that is still open
        self._slide: int | None = None
        self._fence: str | None = None
        self._has_text = False  # the open segment is more than blanks
        self._after_blank = False
        self._after_cr = False  # a "\n" that comes now belongs to the "\r" before it
        self._mid_line = False  # the open line began in `before`
        self._remember(before)

    @property
    def tail(self) -> str:
        return "".join(self._segment) + "".join(self._line)

    def feed(self, delta: str) -> list[tuple[str, int | None]]:
        self._read(delta)
        return self._take()

    def close(self) -> list[tuple[str, int | None]]:
        if self._line:
            self._end_line()
        if self._segment:
            self._ready.append(("".join(self._segment), self._slide))
            self._segment = []
        return self._take()

    def _remember(self, before: str) -> None:
        """Read what the text continues: its slide, its open fence and whether its line is open."""
        self._read(before)
        if self._line:
            self._end_line()
            self._mid_line = True
        self._take()
        self._segment = []
        self._has_text = False

    def _take(self) -> list[tuple[str, int | None]]:
        ready, self._ready = self._ready, []
        return ready

    def _read(self, delta: str) -> None:
        if not delta:
            return
        start = 0
        if self._after_cr and delta[0] == "\n":
            self._segment.append("\n")
            start = 1
        for newline in _NEWLINE.finditer(delta, start):
            self._line.append(delta[start : newline.end()])
            self._end_line()
            start = newline.end()
        self._after_cr = delta[-1] == "\r"
        part = delta[start:]
        if part:
            self._line.append(part)
            if self._at_sight and not part.isspace():
                self._open_at_sight(part)

    def _open_at_sight(self, part: str) -> None:
        if self._fence is None and not self._mid_line and self._opens(part, self._after_blank):
            self._cut()
        self._after_blank = False

    def _end_line(self) -> None:
        line = "".join(self._line)
        self._line = []
        content = line.rstrip("\r\n")
        if not self._mid_line:
            if self._fence is None and self._opens(content, self._after_blank):
                self._cut()
                self._slide = slide_number(content)
            self._fence = fence_after(self._fence, content)
        blank = not content or content.isspace()
        self._after_blank = blank and not self._mid_line
        self._has_text = self._has_text or not blank
        self._mid_line = False
        self._segment.append(line)

    def _cut(self) -> None:
        if self._has_text:
            self._ready.append(("".join(self._segment), self._slide))
            self._segment = []
            self._has_text = False
