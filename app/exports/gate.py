"""The quality gate as a pipeline stage: only pairs that pass its checks go on."""

from collections.abc import Iterable, Iterator

from app.domain.quality import Check, Inspection
from app.exports.reader import Found


def inspect(found: Found, inspection: Inspection) -> Check | None:
    """The first problem that the gate finds in a pair; None lets it pass."""
    return inspection.find(
        found.key,
        kind=found.kind,
        setting=found.sample.setting,
        prefix=found.prefix,
        chosen=found.chosen,
        rejected=found.rejected,
        truncated=found.truncated,
    )


def passing(pairs: Iterable[Found], inspection: Inspection) -> Iterator[Found]:
    """The pairs that pass the gate; the others are counted by what the gate found."""
    return (found for found in pairs if inspect(found, inspection) is None)
