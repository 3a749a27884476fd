"""What changed between two texts, in whole words, and which segments of two texts belong together.

difflib aligns lines and sentences, diff-match-patch compares the words inside those that differ.
Both work on tokens (words.tokens), so neither a word nor a grapheme is ever cut.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import IntEnum

from diff_match_patch import diff_match_patch

from app.domain.alignment import align
from app.domain.blocks import blocks, matched
from app.domain.tokencodes import TooManyTokensError, encode
from app.domain.words import tokens, words

# Up to here (tokens of both sides) diff-match-patch alone is fast and finds the finer alignment.
_DIRECT_TOKENS = 4_000
# Equal tokens kept at each end, so that the clean-up can still move a change to where a reader
# expects it.
_CONTEXT = 64
# A longer unequal run is never resolved within any sensible budget, and diff-match-patch looks for
# a common half before it looks at the clock.
_REFINED_TOKENS = 60_000
# difflib compares each segment with each that is equal to it. Beyond this many, segments are paired
# by their order.
_MATCHED_SEGMENTS = 250_000


class Op(IntEnum):
    """What happened to a run of text (the values are diff-match-patch's)."""

    DELETE = -1
    EQUAL = 0
    INSERT = 1


@dataclass(frozen=True, slots=True)
class Change:
    """A run of text that was kept, deleted or inserted; never empty."""

    op: Op
    text: str


def diff(old: str, new: str, *, budget_s: float = 0.8) -> list[Change]:
    """The changes that turn old into new; [] when both are empty.

    Equal and deleted runs concatenate to old, equal and inserted ones to new; neighbours differ in
    op, and a deletion stands before the insertion that replaces it. budget_s: seconds after which
    what is not compared yet counts as rewritten, so a long rewrite costs about that much.
    """
    if old == new:
        return [Change(Op.EQUAL, old)] if old else []
    deadline = time.monotonic() + budget_s
    before, after = tokens(old), tokens(new)
    head = max(0, _shared(before, after) - _CONTEXT)
    start, before, after = before[:head], before[head:], after[head:]
    foot = max(0, _shared(before[::-1], after[::-1]) - _CONTEXT)
    end = before[len(before) - foot :]
    before, after = before[: len(before) - foot], after[: len(after) - foot]
    changes = [(Op.EQUAL, "".join(start))]
    try:
        changes += _compare(before, after, deadline)
    except TooManyTokensError:
        changes += _rewritten(before, after)
    return _merged([*changes, (Op.EQUAL, "".join(end))])


def tally(changes: Iterable[Change]) -> tuple[int, int]:
    """How many words were inserted, and how many deleted."""
    inserted = deleted = 0
    for change in changes:
        if change.op is Op.INSERT:
            inserted += words(change.text)
        elif change.op is Op.DELETE:
            deleted += words(change.text)
    return inserted, deleted


def distance(old: str, new: str) -> float:
    """The share of words that changed, 0 to 1: (inserted + deleted) / (words in old + in new).

    0 when only blanks or punctuation changed; without any words 1 if the texts differ, else 0.
    """
    total = words(old) + words(new)
    if total == 0:
        return float(old != new)
    return min(1.0, sum(tally(diff(old, new))) / total)


def pair_rows(old: Sequence[str], new: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Which segments of two continuations stand in one row, as 0-based indices into each.

    Every segment appears once and both sides keep their order; None where one side has no
    counterpart. Equal texts share a row; between them the most similar ones do.
    """
    rows: list[tuple[int | None, int | None]] = []
    for equal, i1, i2, j1, j2 in _runs(old, new):
        if equal:
            rows += zip(range(i1, i2), range(j1, j2), strict=True)
            continue
        for i, j in align(old[i1:i2], new[j1:j2]):
            rows.append((None if i is None else i1 + i, None if j is None else j1 + j))
    return rows


def _runs(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[bool, int, int, int, int]]:
    """Runs of segments that are equal or not, as bounds in old and in new."""
    head = _shared(old, new)
    foot = _shared(old[head:][::-1], new[head:][::-1])
    ends = len(old) - foot, len(new) - foot
    before, after = old[head : ends[0]], new[head : ends[1]]
    yield True, 0, head, 0, head
    if len(before) * len(after) > _MATCHED_SEGMENTS:
        yield False, head, ends[0], head, ends[1]
    else:
        matcher = SequenceMatcher(None, before, after, autojunk=False)
        for tag, i1, i2, j1, j2 in matcher.get_opcodes():
            yield tag == "equal", head + i1, head + i2, head + j1, head + j2
    yield True, ends[0], len(old), ends[1], len(new)


def _shared(before: Sequence[str], after: Sequence[str]) -> int:
    """How many tokens, or segments, both begin with."""
    shorter = min(len(before), len(after))
    return next((at for at in range(shorter) if before[at] != after[at]), shorter)


def _compare(before: list[str], after: list[str], deadline: float) -> list[tuple[Op, str]]:
    if len(before) + len(after) <= _DIRECT_TOKENS:
        return _refine(before, after, deadline)
    changes: list[tuple[Op, str]] = []
    for equal, gone, come in matched(blocks(before), blocks(after), deadline):
        changes += [(Op.EQUAL, "".join(gone))] if equal else _refine(gone, come, deadline)
    return changes


def _refine(before: list[str], after: list[str], deadline: float) -> list[tuple[Op, str]]:
    left_s = deadline - time.monotonic()
    too_long = len(before) + len(after) > _REFINED_TOKENS
    if left_s <= 0.001 or too_long or not before or not after:
        return _rewritten(before, after)
    old, new, decode = encode(before, after)
    engine = diff_match_patch()
    engine.Diff_Timeout = left_s
    runs = engine.diff_main(old, new, False)
    # On codes, never on text: a change grows by whole words only.
    engine.diff_cleanupSemantic(runs)
    return [(Op(op), decode(run)) for op, run in runs]


def _rewritten(before: list[str], after: list[str]) -> list[tuple[Op, str]]:
    return [(Op.DELETE, "".join(before)), (Op.INSERT, "".join(after))]


def _merged(changes: Iterable[tuple[Op, str]]) -> list[Change]:
    """Joined where neighbours have the same op, the deletion first where both kinds meet."""
    merged: list[Change] = []
    run = {Op.DELETE: "", Op.INSERT: "", Op.EQUAL: ""}

    def flush(*ops: Op) -> None:
        for op in ops:
            if run[op]:
                merged.append(Change(op, run[op]))
            run[op] = ""

    for op, text in changes:
        if text:
            if op is Op.EQUAL:
                flush(Op.DELETE, Op.INSERT)
            else:
                flush(Op.EQUAL)
            run[op] += text
    flush(Op.EQUAL, Op.DELETE, Op.INSERT)
    return merged
