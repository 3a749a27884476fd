"""A cache of the token ids of texts that a server wrote, to continue from the very same ids.

The ids that a model sampled need not be those that its text encodes to. Sent back as text, such a
passage differs for the server: its cache does not hold it, and the model did not write it in these
steps.
"""

from array import array
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from worker.openai.deltas import Written

_HEADS = 256
_PATHS = 4


@dataclass(frozen=True, slots=True)
class Path:
    """A text and its tokens. ends: where each token ends in code points, -1 where it is not known
    or where a token ends inside a character.
    """

    text: str
    ids: "array[int]"
    ends: "array[int]"


class Memory:
    """The last texts after each head (images and instruction), at most a few hundred."""

    def __init__(self, heads: int = _HEADS) -> None:
        self._most = heads
        self._paths: OrderedDict[Hashable, list[Path]] = OrderedDict()

    def known(self, head: Hashable, prefix: str) -> Path:
        """The longest beginning of `prefix` whose tokens are known; empty if none is."""
        best = 0
        found: Path | None = None
        for path in self._paths.get(head, ()):
            count = _tokens_in(path, prefix)
            if count and (found is None or path.ends[count - 1] > found.ends[best - 1]):
                best, found = count, path
        if found is None:
            return Path("", array("i"), array("i"))
        self._paths.move_to_end(head)
        return Path(prefix[: found.ends[best - 1]], found.ids[:best], found.ends[:best])

    def remember(
        self, head: Hashable, known: Path, rest: Sequence[int], prefix: str, written: Written
    ) -> None:
        """Keep a prompt and what was written after it.

        prefix: the prompt's text after the head, whose ids were those of `known` and then `rest`.
        """
        ids = known.ids + array("i", rest) + array("i", written.ids)
        ends = array("i", known.ends)
        if rest:
            ends.extend([-1] * (len(rest) - 1))
            ends.append(len(prefix))
        ends.extend(len(prefix) + end if end >= 0 else -1 for end in written.ends)
        text = prefix + written.text
        paths = self._paths.setdefault(head, [])
        paths[:] = [one for one in paths if not text.startswith(one.text)][-(_PATHS - 1) :]
        paths.append(Path(text, ids, ends))
        self._paths.move_to_end(head)
        while len(self._paths) > self._most:
            self._paths.popitem(last=False)


def _tokens_in(path: Path, prefix: str) -> int:
    """How many tokens of the path lie in what it shares with `prefix` and end at a seam."""
    shared = _shared(path.text, prefix)
    for count in range(len(path.ends), 0, -1):
        end = path.ends[count - 1]
        if 0 <= end <= shared and _is_seam(prefix, end):
            return count
    return 0


def _shared(one: str, other: str) -> int:
    """Length of the common beginning; by halves, comparing slices, not characters."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _is_seam(text: str, at: int) -> bool:
    """Whether a tokenizer of the GPT-4 family begins a new token at `at` whatever stands there.

    Its pattern joins one sign to the letters behind it, and newlines to the signs before them.
    """
    if at in (0, len(text)):
        return True
    before, after = text[at - 1], text[at]
    if before in "\r\n":
        return not after.isspace()
    if after == " ":
        return not before.isspace()
    return before.isalnum() and not after.isalnum()
