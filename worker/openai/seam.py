"""Checks that an answer continues the prefix instead of repeating it.

A server may continue the probe and not the text: behind one address there are several servers, it
was restarted with another template, a proxy drops a field. It then repeats the text, or begins its
answer again, and either would become the model's own words.

Models repeat themselves, too. So only an exact repetition counts that no honest text has: a long
one (LONG code points, or all of a beginning of at least WHOLE), of words that are in the text once
(a text that is in a loop continues it), and none where the server has shown that its prompt ends in
the text. Words are held back only while they may still become such a repetition: usually a few.
"""

from collections.abc import Sequence

from app.domain.messages import Message
from worker.engine import EngineError, Failure

# A verse, a table's head, a heading with its first sentence are shorter.
LONG = 240
# Of a beginning that is repeated from its first word to its last.
WHOLE = 64
# How far before its end a text is searched for what the server repeats.
FAR = 4000
# So much another output and the present text must have in common to be taken for the same one.
_ALIKE = 20
# Length, in code points, of the strings that are searched for.
_HEAD = 16


class Seam:
    """Watches the first words of one continuation.

    prefix: the text that is continued. own: so many code points at its end were written for the
    same continuation by earlier attempts. beginnings: how outputs of the same sample begin.
    """

    def __init__(self, prefix: str = "", *, own: int = 0, beginnings: Sequence[str] = ()) -> None:
        self._prefix = prefix.strip()
        alike = [one for one in beginnings if _in_common(one.lstrip(), self._prefix) >= _ALIKE]
        known = (prefix, prefix[len(prefix) - own :], *alike)
        self._beginnings = [
            one for one in dict.fromkeys(map(str.strip, known)) if len(one) >= WHOLE
        ]
        # Where in the prefix the text so far stands; None: not searched yet.
        self._places: list[int] | None = None
        self._sure = not self._beginnings

    def trust(self) -> None:
        """The server has shown that it goes on from the prefix: what comes is the model's."""
        self._sure = True

    def settled(self, text: str, *, ended: bool = False) -> bool:
        """Whether all that came so far may be given on; False: it may still be a repetition.

        text: all of the continuation so far. ended: nothing more will come.
        Raises EngineError for a repetition.
        """
        if self._sure:
            return True
        said = text.strip() if ended else text.lstrip()
        if not said:
            return ended
        open_before = self._may_begin_again(said, ended=ended)
        open_behind = self._may_repeat_the_end(said)
        self._sure = ended or not (open_before or open_behind)
        return self._sure

    def _may_begin_again(self, said: str, *, ended: bool) -> bool:
        still = []
        for one in self._beginnings:
            common = _in_common(said, one)
            if common >= min(LONG, len(one)) or (ended and common == len(said) >= WHOLE):
                if self._is_evidence(said[:common]):
                    raise _begun_again()
            elif common == len(said):
                still.append(one)
        self._beginnings = still
        return bool(still)

    def _may_repeat_the_end(self, said: str) -> bool:
        if self._places is None:
            if len(said) < _HEAD:
                return said in self._prefix
            self._places = self._search(said[:_HEAD])
        still = []
        for place in self._places:
            if len(said) < len(self._prefix) - place:
                if self._prefix.startswith(said, place):
                    still.append(place)
            elif said.startswith(self._prefix[place:]) and self._is_evidence(self._prefix[place:]):
                raise _repeated()
        self._places = still
        return bool(still)

    def _search(self, head: str) -> list[int]:
        """All places near the end of the prefix from which a long stretch of it is left."""
        found = []
        last = len(self._prefix) - LONG + _HEAD
        place = self._prefix.find(head, max(0, len(self._prefix) - FAR), max(0, last))
        while place >= 0:
            found.append(place)
            place = self._prefix.find(head, place + 1, last)
        return found

    def _is_evidence(self, stretch: str) -> bool:
        """It stands in the text once at most, and is no loop in itself."""
        first = self._prefix.find(stretch)
        again = first >= 0 and self._prefix.find(stretch, first + 1) >= 0
        return not again and stretch.find(stretch[: len(stretch) // 2], 1) < 0


def _in_common(one: str, other: str) -> int:
    """How many code points both begin with."""
    least = min(len(one), len(other))
    if one[:least] == other[:least]:
        return least
    return next(at for at in range(least) if one[at] != other[at])


def _repeated() -> EngineError:
    return EngineError(
        Message(
            "The model server repeated the end of the text instead of continuing it. The "
            "repetition is not kept. Retry; if it happens again, tell your admin."
        ),
        temporary=False,
        reason=Failure.REPEATED,
    )


def _begun_again() -> EngineError:
    return EngineError(
        Message(
            "The model server started the text again instead of continuing it. The repetition "
            "is not kept. Retry; if it happens again, tell your admin."
        ),
        temporary=False,
        reason=Failure.REPEATED,
    )
