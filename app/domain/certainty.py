"""How sure a model was of what it wrote: of a segment as a whole, and of its weakest words.

A model's probabilities say how sure it was of its words, not whether they are true: it can be
surely wrong, and unsure between two words that are both right.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.domain.words import tokens as units

# Below this, three to one, the model would have written something else in this place.
WEAK = math.log(0.25)
# Marking everything helps nobody: at most this many words of a segment, the weakest.
MOST_WEAK = 8


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a generated text, text[start:end] in code points.

    logprob: the natural logarithm of its probability before any sampling setting. Tokens that
    share a character overlap in it.
    """

    start: int
    end: int
    logprob: float


@dataclass(frozen=True, slots=True)
class WeakWord:
    """A word that the model was unsure of, in code points of its segment. logprob: the word's."""

    start: int
    end: int
    logprob: float

    @property
    def percent(self) -> int:
        """Its probability in whole percent; 0 is less than one."""
        probability = math.exp(self.logprob)
        return round(100 * probability) if probability >= 0.01 else 0


@dataclass(frozen=True, slots=True)
class Certainty:
    """mean: the mean log-probability of a segment's tokens. weak: its weakest words, in order."""

    mean: float
    weak: tuple[WeakWord, ...]


def certainty(text: str, tokens: Sequence[Token]) -> Certainty | None:
    """The certainty of a segment from the tokens that lie in it, wholly or in part.

    tokens: in order, in code points of the segment; the first may begin before it and the last end
    behind it. The mean takes in the tokens that begin in the segment, so each counts once in a
    text. None where the tokens do not cover the whole segment: part of a segment says nothing
    about the rest.
    """
    own = [token.logprob for token in tokens if 0 <= token.start < len(text)]
    if not own or not _cover(tokens, len(text)):
        return None
    return Certainty(min(0.0, sum(own) / len(own)), tuple(_weakest(text, tokens)))


def to_rows(weak: Iterable[WeakWord]) -> list[list[float]]:
    """Weak words as a row keeps them: [start, end, log-probability]."""
    return [[word.start, word.end, round(word.logprob, 4)] for word in weak]


def from_rows(rows: Iterable[Sequence[float]] | None) -> tuple[WeakWord, ...]:
    """Weak words from a row; none where they are not known."""
    return tuple(WeakWord(int(start), int(end), logprob) for start, end, logprob in rows or ())


def within(weak: Iterable[WeakWord], start: int, end: int) -> tuple[WeakWord, ...]:
    """The words that lie in text[start:end], in code points of that part."""
    return shifted((word for word in weak if start <= word.start and word.end <= end), -start)


def shifted(weak: Iterable[WeakWord], by: int) -> tuple[WeakWord, ...]:
    """The words of a text that has moved that many code points further on."""
    return tuple(WeakWord(word.start + by, word.end + by, word.logprob) for word in weak)


def marked(text: str, weak: Sequence[WeakWord]) -> Iterator[tuple[str, WeakWord | None]]:
    """The text in pieces, each weak word with what is known of it; the pieces join to the text.

    text: the segment's, or its beginning; a word that does not lie in it is left out.
    """
    at = 0
    for word in within(weak, 0, len(text)):
        if word.start > at:
            yield text[at : word.start], None
        yield text[word.start : word.end], word
        at = word.end
    if at < len(text):
        yield text[at:], None


def percent(mean: float) -> int:
    """The geometric mean of the tokens' probabilities, in whole percent."""
    return round(100 * math.exp(mean))


def _cover(tokens: Sequence[Token], length: int) -> bool:
    reached = 0
    for token in tokens:
        if token.start > reached:
            return False
        reached = max(reached, token.end)
    return reached >= length


def _weakest(text: str, tokens: Sequence[Token]) -> list[WeakWord]:
    weak = [word for word in _words(text, tokens) if word.logprob < WEAK]
    weakest = sorted(weak, key=lambda word: word.logprob)[:MOST_WEAK]
    return sorted(weakest, key=lambda word: word.start)


def _words(text: str, tokens: Sequence[Token]) -> Iterator[WeakWord]:
    """Every word with its log-probability: the sum over its tokens.

    The sum is the chain rule: the probability of these characters in this place, the same however
    the tokenizer cuts them. The blank before a word belongs to it (it is in the word's first
    token); that no letter follows is not counted (Pimentel and Meister 2024, arXiv 2406.14561).
    Words that share a token cannot be told apart and are one, in Chinese often two or three
    characters.
    """
    first = 0
    last: tuple[int, int, int, int] | None = None
    for start, end in _spans(text):
        while tokens[first].end <= start:
            first += 1
        behind = first
        while behind < len(tokens) and tokens[behind].start < end:
            behind += 1
        if last is not None and first < last[3]:
            start, first = last[0], last[2]
        elif last is not None:
            yield _word(last, tokens)
        last = start, end, first, behind
    if last is not None:
        yield _word(last, tokens)


def _word(place: tuple[int, int, int, int], tokens: Sequence[Token]) -> WeakWord:
    start, end, first, behind = place
    return WeakWord(start, end, sum(token.logprob for token in tokens[first:behind]))


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where words stand; blanks, newlines and punctuation are none."""
    at = 0
    for unit in units(text):
        if any(map(str.isalnum, unit)):
            yield at, at + len(unit)
        at += len(unit)
