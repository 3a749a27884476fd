"""Collects what is wrong with an import: a few errors one by one, many as counted kinds."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.domain.messages import Message
from app.refusals import Invalid
from app.samples.importing.incoming import RowError

LISTED = 20
# The kinds that are shown, and those that are told apart at all.
SHOWN_KINDS = 5
_MAX_KINDS = 1_000
_INDEX = re.compile(r"\[\d+\]|\d+")


@dataclass(frozen=True, slots=True)
class FaultKind:
    """Errors that differ in their place and values alone. first: the one that came first."""

    count: int
    first: RowError


class Faults:
    """The errors of one import, in the order in which they came."""

    def __init__(self, errors: Iterable[RowError] = ()) -> None:
        self.count = 0
        self._listed: list[RowError] = []
        self._kinds: dict[tuple[str | None, str], tuple[int, RowError]] = {}
        for error in errors:
            self.add(error)

    def add(self, error: RowError) -> None:
        """Count an error; keep it while there are few."""
        self.count += 1
        if self.count <= LISTED:
            self._listed.append(error)
        field = None if error.field is None else _INDEX.sub("[…]", error.field)
        key = (field, Message.of(error.message).msgid)
        if key in self._kinds or len(self._kinds) < _MAX_KINDS:
            count, first = self._kinds.get(key, (0, error))
            self._kinds[key] = (count + 1, first)

    @property
    def are_many(self) -> bool:
        """There are more than are listed one by one."""
        return self.count > LISTED

    @property
    def listed(self) -> tuple[RowError, ...]:
        """The errors in the order of the file; none when there are too many to list."""
        if self.are_many:
            return ()
        return tuple(sorted(self._listed, key=lambda error: error.where.number or 0))

    @property
    def kinds(self) -> tuple[FaultKind, ...]:
        """The most frequent kinds of errors, when there are too many errors to list."""
        if not self.are_many:
            return ()
        found = sorted(self._kinds.values(), key=lambda kind: -kind[0])
        return tuple(FaultKind(count, first) for count, first in found[:SHOWN_KINDS])


class ImportRefused(Invalid):
    """An import that wrote nothing.

    count: of all errors. errors: each of them, if there are at most LISTED. kinds: the most
    frequent kinds of errors, if there are more.
    """

    def __init__(self, faults: Faults) -> None:
        self.count = faults.count
        self.errors = faults.listed
        self.kinds = faults.kinds
        number = "1 error" if self.count == 1 else f"{self.count:,} errors"
        lines = [f"Nothing was imported: {number}."]
        lines += map(str, self.errors)
        lines += [f"{kind.count:,} times, first in {kind.first}" for kind in self.kinds]
        rest = self.count - sum(kind.count for kind in self.kinds)
        if self.kinds and rest:
            lines.append(f"{rest:,} errors of other kinds.")
        super().__init__("\n".join(lines))

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The errors, or the first of each frequent kind, as plain values: for pages and to be
        kept. times: how many there are of the kind."""
        found = [(1, error) for error in self.errors]
        found += [(kind.count, kind.first) for kind in self.kinds]
        return [
            {
                "times": times,
                "file": error.where.file,
                "number": error.where.number,
                "place": error.place,
                "field": error.field,
                "message": str(error.message),
            }
            for times, error in found
        ]

    @property
    def faults(self) -> tuple[tuple[str, str], ...]:
        """Place and sentence of each error, or of the first of each frequent kind."""
        shown = self.errors or tuple(kind.first for kind in self.kinds)
        return tuple((error.place, error.message) for error in shown)
