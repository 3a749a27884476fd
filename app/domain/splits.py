"""Which split a sample is in: decided by a hash of the sample alone, never by a shuffle.

A sample keeps its split when others are added, taken away or filtered out, so what was held out in
one round stays held out in the next. Samples that show the same image can be kept together: then
no image is in two splits.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.domain.messages import Message

# What a fraction is counted in: fractions are exact, and so is where a sample falls.
_PARTS = 10_000
# Two different hashes: which of the linked samples speaks for all must not say where it falls.
_FALLS = b"split"
_SPEAKS = b"speaker"


class Split(StrEnum):
    """What rows are for. The values are the names of folders that datasets knows."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How samples are divided; the rest is for training.

    validation, test: fractions of the samples, to four digits. separate_images: no image in two
    splits. seed: another one divides differently. Raises ValueError, with a sentence, for
    fractions that cannot be or a seed that is no 63-bit number.
    """

    validation: float = 0.0
    test: float = 0.0
    separate_images: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            share = getattr(self, name)
            if not (math.isfinite(share) and 0 <= share < 1):
                raise ValueError(
                    Message("The share for %(name)s must be at least 0 and below 1.", name=name)
                )
            if round(share * _PARTS) / _PARTS != share:
                raise ValueError(
                    Message("The share for %(name)s has more than four decimal places.", name=name)
                )
        if _parts(self.validation) + _parts(self.test) >= _PARTS:
            raise ValueError(
                Message("No samples are left for training. Validation and test take all of them.")
            )
        if not 0 <= self.seed < 2**63:
            raise ValueError(Message("The seed must be a number from 0 to 9223372036854775807."))

    @property
    def splits(self) -> tuple[Split, ...]:
        """Those that were asked for; a sample may fall into none but these."""
        shares = {Split.TRAIN: 1.0, Split.VALIDATION: self.validation, Split.TEST: self.test}
        return tuple(split for split, share in shares.items() if share > 0)

    @property
    def divides(self) -> bool:
        """Whether there is more than one split."""
        return len(self.splits) > 1

    def split_of(self, sample: str) -> Split:
        """Where a sample falls by itself."""
        place = _number(_FALLS, self.seed, sample) % _PARTS
        # From both ends: another share for the one moves no sample into or out of the other.
        if place < _parts(self.test):
            return Split.TEST
        return Split.VALIDATION if place >= _PARTS - _parts(self.validation) else Split.TRAIN

    def speaker(self, samples: Iterable[str]) -> str:
        """The sample whose place all of these linked ones take."""
        return min(samples, key=lambda sample: (_number(_SPEAKS, self.seed, sample), sample))


@dataclass(frozen=True, slots=True)
class Division:
    """Where samples are. links: how many samples stand together with others because of an image
    they share, in how many groups, and how many are in the largest."""

    split_of: Callable[[str], Split]
    linked: int = 0
    groups: int = 0
    largest: int = 0


def divide(plan: SplitPlan, shared: Iterable[Iterable[str]] = ()) -> Division:
    """The division of all samples, also of those not named here.

    shared: for each image that more than one sample shows, these samples. They are read only when
    the plan separates images.
    """
    if not plan.divides:
        return Division(lambda sample: Split.TRAIN)
    if not plan.separate_images:
        return Division(plan.split_of)
    speakers, sizes = _together(plan, shared)
    return Division(
        lambda sample: plan.split_of(speakers.get(sample, sample)),
        linked=sum(sizes),
        groups=len(sizes),
        largest=max(sizes, default=0),
    )


def sizes(splits: Iterable[Split]) -> Mapping[Split, int]:
    """How many of each; a split without any is named with 0."""
    counted = Counter(splits)
    return {split: counted[split] for split in Split}


def _together(
    plan: SplitPlan, shared: Iterable[Iterable[str]]
) -> tuple[Mapping[str, str], list[int]]:
    """For each linked sample the one that speaks for its group, and the sizes of the groups."""
    above: dict[str, str] = {}
    for samples in shared:
        first = ""
        for at, sample in enumerate(samples):
            root = _root(above, sample)
            if at == 0:
                first = root
            else:
                above[root] = first
    members: dict[str, list[str]] = {}
    for sample in list(above):
        members.setdefault(_root(above, sample), []).append(sample)
    together = [group for group in members.values() if len(group) > 1]
    speakers = {
        sample: speaker
        for group in together
        for speaker in [plan.speaker(group)]
        for sample in group
    }
    return speakers, [len(group) for group in together]


def _root(above: dict[str, str], sample: str) -> str:
    """The root of a sample's group (union-find, halving the path on the way)."""
    above.setdefault(sample, sample)
    while above[sample] != sample:
        above[sample] = above[above[sample]]
        sample = above[sample]
    return sample


def _parts(share: float) -> int:
    return round(share * _PARTS)


def _number(purpose: bytes, seed: int, sample: str) -> int:
    digest = hashlib.blake2b(
        sample.encode(), digest_size=8, key=seed.to_bytes(8, "big"), person=purpose
    ).digest()
    return int.from_bytes(digest, "big")
