"""Cuts by a finer rule where a rule finds no place in a long text, while it is being written."""

from collections.abc import Callable
from typing import Protocol

from app.domain.lines import LineCutter, Slice
from app.domain.words import has_more_words


class Cutter(Protocol):
    """Takes text in any portions and gives a slice for each segment that is complete."""

    @property
    def tail(self) -> str:
        """The text that was fed and not yet given back."""

    def feed(self, delta: str) -> list[Slice]:
        """Take the next portion of the text and give what it completes."""

    def close(self) -> list[Slice]:
        """Say that the text has ended and give what is left."""


class FallbackCutter:
    """A rule's own cuts; while it has found no place, those of a finer rule.

    The rule has found a place once it has opened a second segment in the whole text, `before`
    included. What the text holds up to there goes to the finer rule when the whole text has more
    than `limit` words by then, and stays one segment otherwise. What the words say depends on the
    text alone, so any portions give the same slices, and so does going on behind one of them.
    """

    def __init__(
        self, rule: LineCutter, finer: Callable[[], Cutter], *, before: str, limit: int
    ) -> None:
        self._rule = rule
        self._make_finer = finer
        self._finer: Cutter | None = None
        self._before = before
        self._limit = limit
        self._leads = not rule.fits  # the rule has found no place yet
        self._held: list[str] = []  # text that the finer rule has not got
        self._fed = 0  # how many characters it has got
        self._look_at = 0  # so many settled characters are worth counting words again
        self._is_first = True

    @property
    def tail(self) -> str:
        if not self._leads:
            return self._rule.tail
        return (self._finer.tail if self._finer else "") + "".join(self._held)

    def feed(self, delta: str) -> list[Slice]:
        cut = self._rule.feed(delta)
        if not self._leads:
            return cut
        self._held.append(delta)
        return self._led(cut) if cut or self._rule.fits else self._finer_cuts()

    def close(self) -> list[Slice]:
        cut = self._rule.close()
        return self._led(cut) if self._leads else cut

    def _led(self, cut: list[Slice]) -> list[Slice]:
        """The rule has found a place, or the text has ended: its first slice is what led there."""
        self._leads = False
        self._held = []
        if self._rule.fits or not cut:
            return cut
        lead = cut[0]
        if self._finer is None and not self._is_long(lead.text):
            return cut
        finer = self._finer or self._make_finer()
        pieces = finer.feed(lead.text[self._fed :]) + finer.close()
        return self._marked(pieces, lead.slide, lead.starts) + cut[1:]

    def _finer_cuts(self) -> list[Slice]:
        settled = self._rule.settled
        if settled <= self._fed or settled < self._look_at:
            return []
        held = "".join(self._held)
        if self._finer is None:
            if not self._is_long(held[:settled]):
                # Looking again at ever longer texts keeps the cost of all looks linear.
                self._look_at = settled + max(64, settled // 4)
                self._held = [held]
                return []
            self._finer = self._make_finer()
        size = settled - self._fed
        self._held = [held[size:]]
        self._fed = settled
        pieces = self._finer.feed(held[:size])
        return self._marked(pieces, self._rule.slide, not self._rule.continues)

    def _is_long(self, text: str) -> bool:
        return has_more_words(self._before + text, self._limit)

    def _marked(self, slices: list[Slice], slide: int | None, starts: bool) -> list[Slice]:
        """As pieces of one part; starts: a part of the rule begins with the first of them."""
        marked = []
        for one in slices:
            marked.append(Slice(one.text, slide, starts and self._is_first))
            self._is_first = False
        return marked
