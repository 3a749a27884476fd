"""The gate as a stage of the pipeline: pairs come in, those that may leave go on."""

from collections.abc import Iterable, Iterator

from app.domain.quality import Check, Inspection
from app.exports.reader import Found


def inspect(found: Found, inspection: Inspection) -> Check | None:
    """What is wrong with a pair; None lets it pass."""
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
    """The pairs in which the gate finds nothing; the others are counted by what it found."""
    return (found for found in pairs if inspect(found, inspection) is None)
