"""Cuts a text into segments by a project's rule, whole or while it is being written.

Every rule is lossless: the segments concatenate to the text, exactly. Newlines end a segment and
blanks between sentences begin the next one, so a tokenizer of the GPT-4 family cuts a prefix alone
as it cuts it with what follows. A segment begins with a newline only where the text itself does.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.headings import is_heading, slide_number
from app.domain.lines import LineCutter, opens_paragraph, opens_section, opens_slide
from app.domain.sentences import SentenceCutter
from app.domain.words import words

__all__ = ["Piece", "Rule", "RuleKind", "Splitter", "split", "suggest_rule", "words"]


class RuleKind(StrEnum):
    """What begins a segment."""

    SLIDES = "slides"
    HEADINGS = "headings"
    PARAGRAPHS = "paragraphs"
    SENTENCES = "sentences"


@dataclass(frozen=True, slots=True)
class Rule:
    """How a project's texts are cut.

    words: about how many a group of sentences has, 10 to 2000; used by SENTENCES only.
    ValueError when out of range.
    """

    kind: RuleKind
    words: int = 120

    def __post_init__(self) -> None:
        if not 10 <= self.words <= 2000:
            raise ValueError("A group of sentences has 10 to 2000 words.")


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of one segment. image_index: 0-based, of the image it speaks of; None if unknown."""

    text: str
    image_index: int | None


def split(text: str, rule: Rule, *, images: int = 0) -> list[Piece]:
    """Cut a whole text; an empty text gives no pieces, one of blanks only gives one.

    images: how many the sample has; the text of slide N speaks of image N - 1 if there is one.
    SLIDES cuts before slide headings, HEADINGS before Markdown headings made with #, PARAGRAPHS
    before the first line after blank ones, SENTENCES at the end of the sentence that fills a group.
    Text before the first heading is a segment of its own; blanks before it belong to it.
    """
    splitter = Splitter(rule, images=images)
    return splitter.feed(text) + splitter.close()


class Splitter:
    """Cuts a text while it is being written: the same segments as split, in whatever portions.

    A piece comes as soon as it is certain: when the text behind its newlines has begun and, for
    SLIDES and HEADINGS, when the line that may be a heading is complete.

    before: the text of the path that is continued. Its end is the end of a segment, whatever it
    looks like, and the first piece begins there. The cutter takes from it what the rule cannot see
    in the continuation: the slide it is on, a code fence that is still open, and whether its last
    line is (then the text that follows it on this line is no heading). Newlines with which the
    continuation begins belong to the first piece.
    """

    def __init__(self, rule: Rule, *, images: int = 0, before: str = "") -> None:
        self._images = images if rule.kind in (RuleKind.SLIDES, RuleKind.HEADINGS) else 0
        self._cutter: LineCutter | SentenceCutter
        match rule.kind:
            case RuleKind.SLIDES:
                self._cutter = LineCutter(opens_slide, at_sight=False, before=before)
            case RuleKind.HEADINGS:
                self._cutter = LineCutter(opens_section, at_sight=False, before=before)
            case RuleKind.PARAGRAPHS:
                self._cutter = LineCutter(opens_paragraph, at_sight=True, before=before)
            case RuleKind.SENTENCES:
                self._cutter = SentenceCutter(rule.words)

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

    def _pieces(self, cut: list[tuple[str, int | None]]) -> list[Piece]:
        return [Piece(text, self._image(slide)) for text, slide in cut]

    def _image(self, slide: int | None) -> int | None:
        return slide - 1 if slide is not None and 1 <= slide <= self._images else None


def suggest_rule(text: str) -> Rule:
    """The rule that fits a text: slides from two slide headings, headings from three, paragraphs
    from three, sentences otherwise."""
    slides = split(text, Rule(RuleKind.SLIDES))
    if sum(slide_number(_first_line(piece)) is not None for piece in slides) >= 2:
        return Rule(RuleKind.SLIDES)
    sections = split(text, Rule(RuleKind.HEADINGS))
    if sum(is_heading(_first_line(piece)) for piece in sections) >= 3:
        return Rule(RuleKind.HEADINGS)
    if len(split(text, Rule(RuleKind.PARAGRAPHS))) >= 3:
        return Rule(RuleKind.PARAGRAPHS)
    return Rule(RuleKind.SENTENCES)


def _first_line(piece: Piece) -> str:
    lines = piece.text.replace("\r", "\n").split("\n")
    return next((line for line in lines if line and not line.isspace()), "")
