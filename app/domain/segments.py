"""Cuts a text into segments by a project's rule, whole or while it is being written.

Every rule is lossless: the segments concatenate to the text, exactly. Newlines end a segment and
blanks between sentences begin the next one, so a tokenizer of the GPT-4 family cuts a prefix alone
as it cuts it with what follows. A segment begins with a newline only where the text itself does.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.fallback import Cutter, FallbackCutter
from app.domain.lines import (
    LineCutter,
    Slice,
    opens_after_gap,
    opens_line,
    opens_paragraph,
    opens_section,
    opens_slide,
)
from app.domain.sentences import SentenceCutter
from app.domain.words import words

__all__ = ["Cutting", "Piece", "Rule", "RuleKind", "Splitter", "split", "words"]

LONG_SEGMENT_WORDS = 400
"""What a person can still read and correct as one segment."""


class RuleKind(StrEnum):
    """What begins a segment. The last three are for samples whose file gives the segments."""

    SLIDES = "slides"
    HEADINGS = "headings"
    PARAGRAPHS = "paragraphs"
    SENTENCES = "sentences"
    GAPS = "gaps"
    LINES = "lines"
    GROUPS = "groups"


PROJECT_RULES = (
    RuleKind.SLIDES,
    RuleKind.HEADINGS,
    RuleKind.PARAGRAPHS,
    RuleKind.SENTENCES,
)
"""The rules that a project can have."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How texts are cut.

    words: about how many a group of sentences has (SENTENCES), or how many a group of paragraphs
    has at least (GROUPS), 10 to 2000. ValueError when out of range.
    """

    kind: RuleKind
    words: int = 120

    def __post_init__(self) -> None:
        if not 10 <= self.words <= 2000:
            raise ValueError("A group has 10 to 2000 words.")


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of one segment. image_index: 0-based, of the image it speaks of; None if unknown."""

    text: str
    image_index: int | None


@dataclass(frozen=True, slots=True)
class Cutting:
    """How what is written for a sample is cut from some place on.

    images: how many the sample has. part_images: those that its parts speak of, ascending, for a
    sample that is cut one part an image; None for all others. image: the one that the part before
    the place speaks of, None where there is none.
    """

    rule: Rule
    images: int = 0
    part_images: tuple[int, ...] | None = None
    image: int | None = None

    def splitter(self, before: str = "") -> "Splitter":
        """Cuts what follows the text `before` the place."""
        if self.part_images is None:
            return Splitter(self.rule, images=self.images, before=before)
        done = 0 if self.image is None else bisect_right(self.part_images, self.image)
        parts = (self.image, *self.part_images[done:])
        return Splitter(self.rule, images=self.images, before=before, parts=parts)


def split(text: str, rule: Rule, *, images: int = 0, fallback: bool = True) -> list[Piece]:
    """Cut a whole text; an empty text gives no pieces, one of blanks only gives one.

    images: how many the sample has; the text of slide N speaks of image N - 1 if there is one.
    SLIDES cuts before slide headings, HEADINGS before Markdown headings made with #, PARAGRAPHS
    before the first line after blank ones, GAPS after two blank ones or more, LINES before each
    line with text, GROUPS before the paragraph after enough words, SENTENCES at the end of the
    sentence that fills a group. Text before the first heading is a segment of its own; blanks
    before it belong to it. fallback: as for Splitter.
    """
    splitter = Splitter(rule, images=images, fallback=fallback)
    return splitter.feed(text) + splitter.close()


class Splitter:
    """Cuts a text while it is being written: the same segments as split, in whatever portions.

    A piece comes as soon as it is certain: when the text behind its newlines has begun and, for
    SLIDES and HEADINGS, when the line that may be a heading is complete or long.

    before: the text of the path that is continued. Its end is the end of a segment, whatever it
    looks like, and the first piece begins there. The cutter takes from it what the rule cannot see
    in the continuation: the slide it is on, a code fence that is still open, and whether its last
    line is (then the text that follows it on this line is no heading). Newlines with which the
    continuation begins belong to the first piece.

    parts: the images that the parts speak of, in order, where that follows from their sequence;
    parts beyond it speak of none. The first is of the part in which `before` ends: the text may
    go on with it. None: slide headings say it.

    fallback: where the rule has found no place in more than LONG_SEGMENT_WORDS words of the whole
    text, paragraphs are taken, and groups of sentences where there is none of those either. The
    pieces of a part speak of the same image.
    """

    def __init__(
        self,
        rule: Rule,
        *,
        images: int = 0,
        before: str = "",
        parts: Sequence[int | None] | None = None,
        fallback: bool = True,
    ) -> None:
        self._images = images if rule.kind in (RuleKind.SLIDES, RuleKind.HEADINGS) else 0
        self._parts = parts
        self._part = 0
        self._cutter = _cutter(rule, before, fallback=fallback)

    def feed(self, delta: str) -> list[Piece]:
        """Take the next portion of the text and give the pieces that it completes."""
        return self._pieces(self._cutter.feed(delta))

    def close(self) -> list[Piece]:
        """Say that the text has ended and give what is left; nothing may be fed afterwards."""
        return self._pieces(self._cutter.close())

    @property
    def tail(self) -> str:
        """The text that was fed and not yet given back; costs its length."""
        return self._cutter.tail

    def _pieces(self, slices: list[Slice]) -> list[Piece]:
        return [Piece(one.text, self._image(one)) for one in slices]

    def _image(self, one: Slice) -> int | None:
        if self._parts is not None:
            self._part += one.starts
            return self._parts[self._part] if self._part < len(self._parts) else None
        slide = one.slide
        return slide - 1 if slide is not None and 1 <= slide <= self._images else None


def _cutter(rule: Rule, before: str, *, fallback: bool) -> Cutter:
    match rule.kind:
        case RuleKind.SENTENCES:
            return SentenceCutter(rule.words)
        case RuleKind.GROUPS:
            return LineCutter(opens_paragraph, at_sight=True, before=before, least_words=rule.words)
        case RuleKind.SLIDES:
            own = LineCutter(opens_slide, at_sight=False, before=before)
        case RuleKind.HEADINGS:
            own = LineCutter(opens_section, at_sight=False, before=before)
        case RuleKind.PARAGRAPHS:
            own = LineCutter(opens_paragraph, at_sight=True, before=before)
        case RuleKind.GAPS:
            own = LineCutter(opens_after_gap, at_sight=True, before=before)
        case RuleKind.LINES:
            own = LineCutter(opens_line, at_sight=True, before=before)
    if not fallback:
        return own
    paragraphs = rule.kind is RuleKind.PARAGRAPHS
    finer = Rule(RuleKind.SENTENCES if paragraphs else RuleKind.PARAGRAPHS, rule.words)
    return FallbackCutter(
        own,
        lambda: _cutter(finer, before, fallback=True),
        before=before,
        limit=LONG_SEGMENT_WORDS,
    )
