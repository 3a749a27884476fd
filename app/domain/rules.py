"""Finds the rule that fits texts: those of a file, or the segments that a file gives itself."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from app.domain.headings import is_heading, slide_number
from app.domain.messages import Message
from app.domain.segments import PROJECT_RULES, Rule, RuleKind, split
from app.domain.words import has_more_words, words

# A text with fewer words says nothing of how longer ones are built.
_SHORT_WORDS = 120
# So many sizes of groups are tried for given segments, and so much text is looked at.
_SIZES = 8
_CHARACTERS = 200_000
_LEAST_WORDS, _MOST_WORDS = 10, 2000


@dataclass(frozen=True, slots=True)
class Choice:
    """The rule that fits most texts. fits: how many of the `of` texts that could tell."""

    kind: RuleKind
    fits: int
    of: int

    @property
    def reason(self) -> Message:
        """Which rule it is and why, as a sentence for people."""
        values = {"fits": self.fits, "of": self.of}
        match self.kind:
            case RuleKind.SLIDES:
                return Message(
                    "The project's texts are cut before slide headings from now on: that fits "
                    "%(fits)s of the %(of)s outputs that were looked at.",
                    **values,
                )
            case RuleKind.HEADINGS:
                return Message(
                    "The project's texts are cut before Markdown headings from now on: that fits "
                    "%(fits)s of the %(of)s outputs that were looked at.",
                    **values,
                )
            case RuleKind.PARAGRAPHS:
                return Message(
                    "The project's texts are cut into paragraphs from now on: that fits %(fits)s "
                    "of the %(of)s outputs that were looked at.",
                    **values,
                )
            case _:
                return Message(
                    "The project's texts are cut into groups of sentences from now on: that fits "
                    "%(fits)s of the %(of)s outputs that were looked at.",
                    **values,
                )


def choose_rule(outputs: Iterable[str]) -> Choice | None:
    """The rule that fits most of these outputs; None if there is no text among them.

    Short texts without any structure count only if there are no others. Of two rules that fit as
    many, the one with the larger segments is taken.
    """
    long: Counter[RuleKind] = Counter()
    short = 0
    for text in outputs:
        if not text.strip():
            continue
        kind = suggest_rule(text)
        if kind is RuleKind.SENTENCES and not has_more_words(text, _SHORT_WORDS):
            short += 1
        else:
            long[kind] += 1
    if not long:
        return Choice(RuleKind.SENTENCES, short, short) if short else None
    kind = max(PROJECT_RULES, key=lambda one: (long[one], -PROJECT_RULES.index(one)))
    return Choice(kind, long[kind], long.total())


def suggest_rule(text: str) -> RuleKind:
    """The rule that fits a text: slides from two slide headings, headings from three, paragraphs
    from three, sentences otherwise."""
    if sum(slide_number(line) is not None for line in _first_lines(text, RuleKind.SLIDES)) >= 2:
        return RuleKind.SLIDES
    if sum(map(is_heading, _first_lines(text, RuleKind.HEADINGS))) >= 3:
        return RuleKind.HEADINGS
    if len(_texts(text, Rule(RuleKind.PARAGRAPHS))) >= 3:
        return RuleKind.PARAGRAPHS
    return RuleKind.SENTENCES


def rule_of_parts(parts: Sequence[str], *, usual: Rule) -> Rule | None:
    """The rule that cuts a text into these parts, or as nearly as a rule can; None for one part.

    usual: the project's rule; it is taken when it gives exactly these parts. Otherwise the first
    that does: slides, headings, wide gaps, paragraphs, lines. If none does, the one whose cuts
    agree best with the given ones in place and number; groups of paragraphs and of sentences with
    as many words as the parts have are among them. Of long texts the beginning is looked at.
    """
    if len(parts) < 2:
        return None
    enough = bisect_right([*accumulate(map(len, parts))], _CHARACTERS)
    parts = parts[: max(2, enough)]
    text = "".join(parts)
    wanted = _ends(parts)
    best, best_score = usual, -1.0
    for rule in _candidates(parts, usual):
        score = _agreement(_ends(_texts(text, rule)), wanted)
        if score == 1:
            return rule
        if score > best_score:
            best, best_score = rule, score
    return best


def _candidates(parts: Sequence[str], usual: Rule) -> Iterator[Rule]:
    yield usual
    for kind in (
        RuleKind.SLIDES,
        RuleKind.HEADINGS,
        RuleKind.GAPS,
        RuleKind.PARAGRAPHS,
        RuleKind.LINES,
    ):
        yield Rule(kind, usual.words)
    counts = sorted({min(max(words(part), _LEAST_WORDS), _MOST_WORDS) for part in parts})
    step = max(1, -(-len(counts) // _SIZES))
    for kind in (RuleKind.GROUPS, RuleKind.SENTENCES):
        for size in counts[::step]:
            yield Rule(kind, size)


def _agreement(found: set[int], wanted: set[int]) -> float:
    """How well cuts agree with the given ones, 0 to 1: their F1 score, and as many of them.

    Without their number, cutting each part into its paragraphs would score well, and the images of
    the parts would run ahead of the text.
    """
    if not found:
        return 0.0
    f1 = 2 * len(found & wanted) / (len(found) + len(wanted))
    return f1 * min(len(found), len(wanted)) / max(len(found), len(wanted))


def _ends(parts: Sequence[str]) -> set[int]:
    """Where parts end but the last."""
    return set(accumulate(map(len, parts[:-1])))


def _texts(text: str, rule: Rule) -> list[str]:
    return [piece.text for piece in split(text, rule, fallback=False)]


def _first_lines(text: str, kind: RuleKind) -> Iterator[str]:
    """The first line with text of each segment that a rule makes."""
    for piece in _texts(text, Rule(kind)):
        lines = piece.replace("\r", "\n").split("\n")
        yield next((line for line in lines if line and not line.isspace()), "")
