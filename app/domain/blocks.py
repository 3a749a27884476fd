"""Aligns the lines and sentences of two texts: only those that differ are compared closely."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby

from diff_match_patch import diff_match_patch

from app.domain.tokencodes import encode

Block = tuple[str, ...]
"""The tokens of a line or sentence, with the blanks and newlines behind it."""

# Beyond these, difflib's search, quadratic in repeated blocks, takes seconds, and it knows no
# deadline. diff-match-patch has one.
_DIFFLIB_BLOCKS = 4_000
_DIFFLIB_MATCHES = 400_000
_ENDS = frozenset(".!?。！？；;…")


def blocks(parts: Sequence[str]) -> list[Block]:
    """Cut tokens into blocks; they concatenate to the tokens."""
    found: list[Block] = []
    start = 0
    ended = False
    for at, part in enumerate(parts):
        if part.isspace():
            ended = ended or part in ("\n", "\r", "\r\n")
            continue
        if ended:
            found.append(tuple(parts[start:at]))
            start = at
        # A dot ends a sentence only with a blank behind it: 3.5 is one number.
        follower = parts[at + 1] if at + 1 < len(parts) else " "
        ended = part in _ENDS and (not part.isascii() or follower.isspace())
    if start < len(parts):
        found.append(tuple(parts[start:]))
    return found


def matched(
    old: Sequence[Block], new: Sequence[Block], deadline: float
) -> Iterator[tuple[bool, list[str], list[str]]]:
    """Runs of (equal, old's tokens, new's tokens), in order; at least one side is not empty.

    deadline: on the monotonic clock; whatever is not compared by then is one unequal run.
    """
    counts = Counter(new)
    matches = sum(counts[block] for block in old)
    if len(old) + len(new) <= _DIFFLIB_BLOCKS and matches <= _DIFFLIB_MATCHES:
        opcodes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        runs = [(tag == "equal", i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in opcodes]
    else:
        runs = _matched_in_time(old, new, deadline)
    i = j = 0
    for equal, olds, news in runs:
        yield equal, _tokens(old[i : i + olds]), _tokens(new[j : j + news])
        i, j = i + olds, j + news


def _matched_in_time(
    old: Sequence[Block], new: Sequence[Block], deadline: float
) -> list[tuple[bool, int, int]]:
    engine = diff_match_patch()
    # Half of the time is left for the words; the engine reads 0 as "no limit".
    engine.Diff_Timeout = max(0.001, (deadline - time.monotonic()) / 2)
    codes = encode(["".join(block) for block in old], ["".join(block) for block in new])
    runs: list[tuple[bool, int, int]] = []
    for equal, group in groupby(engine.diff_main(*codes[:2], False), lambda run: run[0] == 0):
        sizes = [(op, len(run)) for op, run in group]
        olds = sum(size for op, size in sizes if op <= 0)
        news = sum(size for op, size in sizes if op >= 0)
        runs.append((equal, olds, news))
    return runs


def _tokens(run: Sequence[Block]) -> list[str]:
    return [token for block in run for token in block]
