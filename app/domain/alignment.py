"""Puts two lists of segments side by side, the most similar ones in one row."""

from collections import Counter
from collections.abc import Sequence

from app.domain.words import tokens

# Beyond this many comparisons, of segments or of their words in all, rows are paired by order:
# nobody looks for a finer match there.
_COMPARISONS = 2_500
_COMPARED_CHARACTERS = 4_000_000
# What a shared row is worth without any similarity: enough to prefer it to two half-empty rows.
_SHARED_ROW = 0.01


def align(old: Sequence[str], new: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Rows of 0-based indices: as many shared rows as the shorter list has segments, with the
    greatest similarity in all (Needleman and Wunsch 1970, gaps free); None fills a half-empty row.
    """
    if not old or not new or _is_much(old, new):
        shared = min(len(old), len(new))
        return (
            [(i, i) for i in range(shared)]
            + [(i, None) for i in range(shared, len(old))]
            + [(None, j) for j in range(shared, len(new))]
        )
    gains = _gains(old, new)
    # best[i][j]: what the segments from i and j on are worth together.
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            best[i][j] = max(gains[i][j] + best[i + 1][j + 1], best[i + 1][j], best[i][j + 1])
    rows: list[tuple[int | None, int | None]] = []
    i = j = 0
    while i < len(old) and j < len(new):
        if best[i][j] == gains[i][j] + best[i + 1][j + 1]:
            rows.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            rows.append((i, None))
            i += 1
        else:
            rows.append((None, j))
            j += 1
    rows += [(left, None) for left in range(i, len(old))]
    rows += [(None, right) for right in range(j, len(new))]
    return rows


def _is_much(old: Sequence[str], new: Sequence[str]) -> bool:
    if len(old) * len(new) > _COMPARISONS:
        return True
    characters = len(new) * sum(map(len, old)) + len(old) * sum(map(len, new))
    return characters > _COMPARED_CHARACTERS


def _gains(old: Sequence[str], new: Sequence[str]) -> list[list[float]]:
    """What each pair is worth in one row: by the Dice coefficient of their tokens, blanks aside."""
    olds, news = [_bag(text) for text in old], [_bag(text) for text in new]
    return [[_SHARED_ROW + _similarity(one, other) for other in news] for one in olds]


def _similarity(one: Counter[str], other: Counter[str]) -> float:
    return 2 * (one & other).total() / max(1, one.total() + other.total())


def _bag(text: str) -> Counter[str]:
    return Counter(token for token in tokens(text) if not token.isspace())
