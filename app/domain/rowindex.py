"""What a snapshot holds, row by row, small enough to compare two snapshots of 100,000 rows.

A line a row, in the order of the ids: the row's id, its split, a digest of its content.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from app.domain.splits import Split


class Buffer(Protocol):
    """Bytes, or what can be searched as they can."""

    def __len__(self) -> int: ...
    def __getitem__(self, where: slice, /) -> bytes: ...
    def find(self, what: bytes, start: int, /) -> int: ...
    def rfind(self, what: bytes, start: int, end: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """A row of a snapshot.

    id: of what it was made of, numbers with dashes between ("41", "12-7"). digest: of what a
    trainer learns from it, whatever the format.
    """

    id: str
    split: Split
    digest: str

    @property
    def order(self) -> tuple[int, ...]:
        """What rows are sorted by. Raises ValueError for an id of another form."""
        return tuple(map(int, self.id.split("-")))

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
    ids: dict[Difference, list[str]] = field(
        default_factory=lambda: {difference: [] for difference in Difference}
    )

    @property
    def equal(self) -> bool:
        """Whether they hold the same rows in the same splits."""
        return not any(self.counts.values())


def in_order(rows: Iterable[IndexedRow]) -> list[IndexedRow]:
    """The rows in the order of an index."""
    return sorted(rows, key=lambda row: row.order)


def read_index(lines: Iterable[str]) -> Iterator[IndexedRow]:
    """The rows of an index. Raises ValueError for a line that is none, or out of order."""
    last: tuple[int, ...] = ()
    for line in lines:
        name, split, digest = line.rstrip("\n").split("\t")
        row = IndexedRow(name, Split(split), digest)
        if row.order <= last:
            raise ValueError(f"Row {name} stands in the wrong place: the index is damaged.")
        last = row.order
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
        if left is None or (right is not None and right.order < left.order):
            note(Difference.ADDED, right)
            right = next(new, None)
        elif right is None or left.order < right.order:
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


def find_row(index: Buffer, id: str) -> IndexedRow | None:
    """The row of that id, by halving: an index of a million rows is read in twenty places.

    index: the bytes of the index, such as a mapped file.
    """
    wanted = tuple(map(int, id.split("-")))
    low, high = 0, len(index)
    while low < high:
        start = index.rfind(b"\n", low, (low + high) // 2) + 1 or low
        end = index.find(b"\n", start) + 1 or len(index)
        (row,) = read_index([index[start:end].decode("ascii")])
        if row.order == wanted:
            return row
        if row.order < wanted:
            low = end
        else:
            high = start
    return None
