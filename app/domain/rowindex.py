"""What a snapshot holds, row by row, small enough to compare two snapshots of 100,000 rows.

A line a row, in the order of the ids: the row's id, its split, a digest of its content.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.splits import Split

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """A row of a snapshot. digest: of what a trainer learns from it, see row_digest."""

    id: int
    split: Split
    digest: str

    def line(self) -> str:
        """The row as a line of the index."""
        return f"{self.id}\t{self.split.value}\t{self.digest}\n"


class Difference(StrEnum):
    """What became of a row from one snapshot to another."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"


@dataclass(slots=True)
class Comparison:
    """How two snapshots differ. ids: of each kind at most `shown` rows, in order.

    changed: another content under the same id. moved: the same content in another split.
    """

    same: int = 0
    counts: dict[Difference, int] = field(default_factory=lambda: dict.fromkeys(Difference, 0))
    ids: dict[Difference, list[int]] = field(
        default_factory=lambda: {difference: [] for difference in Difference}
    )

    @property
    def equal(self) -> bool:
        """Whether they hold the same rows in the same splits."""
        return not any(self.counts.values())


def row_digest(content: Mapping[str, object]) -> str:
    """The digest of a row's content: SHA-256 of its JSON with sorted keys, 128 bits of it in hex.

    Raises TypeError for what JSON cannot hold.
    """
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()[:_DIGEST_BYTES].hex()


def read_index(lines: Iterable[str]) -> Iterator[IndexedRow]:
    """The rows of an index. Raises ValueError for a line that is none, or out of order."""
    last = -1
    for line in lines:
        number, split, digest = line.rstrip("\n").split("\t")
        row = IndexedRow(int(number), Split(split), digest)
        if row.id <= last:
            raise ValueError(f"Row {row.id} stands behind row {last}: the index is damaged.")
        last = row.id
        yield row


def compare(before: Iterable[IndexedRow], after: Iterable[IndexedRow], *, shown: int) -> Comparison:
    """What changed between two indexes, read once side by side: memory stays flat."""
    found = Comparison()

    def note(difference: Difference, row: IndexedRow | None) -> None:
        found.counts[difference] += 1
        if row is not None and len(found.ids[difference]) < shown:
            found.ids[difference].append(row.id)

    old, new = iter(before), iter(after)
    left, right = next(old, None), next(new, None)
    while left is not None or right is not None:
        if left is None or (right is not None and right.id < left.id):
            note(Difference.ADDED, right)
            right = next(new, None)
        elif right is None or left.id < right.id:
            note(Difference.REMOVED, left)
            left = next(old, None)
        else:
            if left.digest != right.digest:
                note(Difference.CHANGED, left)
            elif left.split is not right.split:
                note(Difference.MOVED, left)
            else:
                found.same += 1
            left, right = next(old, None), next(new, None)
    return found
