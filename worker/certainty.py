"""Collects a stream's tokens until their segment is cut, and computes its certainty."""

from collections import deque
from collections.abc import Iterable

from app.domain.certainty import Certainty, Token, certainty

# A segment may be complete before the log-probabilities of its last tokens have come: while text
# is held back by the server, or where it sends them after their text. So many code points of the
# text behind it are waited for, about a line; then they will not come any more.
PATIENCE = 200


class Scales:
    """Weighs the segments of one attempt by its tokens.

    start: what earlier attempts have written, in code points; of that no tokens are known.
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self._known = start
        self._tokens: deque[Token] = deque()
        self._vain = False

    def add(self, tokens: Iterable[Token]) -> None:
        """Take the next tokens, in code points of this attempt's own text."""
        for token in tokens:
            start, end = self._start + token.start, self._start + token.end
            self._tokens.append(Token(start, end, token.logprob))
            self._known = max(self._known, end)

    def is_ready(self, end: int, written: int) -> bool:
        """Whether the tokens up to `end` are there, or are not to be waited for.

        written: how far the text has come. An engine without tokens is never waited for, one whose
        tokens stay away only once.
        """
        if self._known >= end or self._known == self._start or self._vain:
            return True
        self._vain = written - end > PATIENCE
        return self._vain

    def weigh(self, text: str, end: int) -> Certainty | None:
        """The certainty of the segment that ends there; its tokens are dropped."""
        start = end - len(text)
        own = [
            Token(token.start - start, token.end - start, token.logprob)
            for token in self._tokens
            if token.start < end
        ]
        # One that reaches into the next segment has a part in a word there.
        while self._tokens and self._tokens[0].end <= end:
            self._tokens.popleft()
        return certainty(text, own)
