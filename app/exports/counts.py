"""What an export holds and what it left out: for its README, its manifest and who asked for it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.quality import Check, Inspection


@dataclass(slots=True)
class Tally:
    """Counts of an export, of pairs or what else it is made of. pairs = mid + last = with_images +
    without_images, and pairs + left out = all that the filter asked for. images: distinct files.
    rows_of: as written, by file; a format may make several of a pair. accepted, rejected:
    judgements. unheld: by file, what it cannot hold though another file does. normalised: the name
    of each image that is not the original's bytes, by the SHA-256 of the original. files: the
    SHA-256 of each file of rows and text, by name."""

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
        """Rows of all files."""
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
        """How many pairs each check of the gate has kept back, in the checks' order."""
        found = self.inspection.found
        return {check: found[check] for check in Check if found.get(check)}
