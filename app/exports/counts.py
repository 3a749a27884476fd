"""Export counts: what was written and what was left out, for the README, manifest and caller."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.quality import Check, Inspection


@dataclass(slots=True)
class Tally:
    """Counts of an export, in items of its kind.

    pairs = mid + last = with_images + without_images; pairs + left out = all that the filter
    selected.

    images: distinct files.
    rows_of: rows written, by file; a format may write several rows for one item.
    accepted, rejected: judgements.
    unheld: by file, items that this file cannot hold although another can.
    normalised: names of images whose bytes differ from the original's, by the original's SHA-256.
    files: SHA-256 of each file of rows or text, by name.
    """

    inspection: Inspection
    pairs: int = 0
    rows_of: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    rejected: int = 0
    unheld: Counter[str] = field(default_factory=Counter)
    normalised: dict[str, str] = field(default_factory=dict)
    last: int = 0
    with_images: int = 0
    images: int = 0
    samples: set[int] = field(default_factory=set)
    policies: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return self.rows_of.total()

    @property
    def mid(self) -> int:
        """Pairs that do not end their output."""
        return self.pairs - self.last

    @property
    def without_images(self) -> int:
        """Pairs of samples that show no image."""
        return self.pairs - self.with_images

    @property
    def text_only(self) -> bool:
        """No pair has an image."""
        return self.with_images == 0

    @property
    def left_out(self) -> Mapping[Check, int]:
        """How many items each check of the gate left out, in the order of the checks."""
        found = self.inspection.found
        return {check: found[check] for check in Check if found.get(check)}
