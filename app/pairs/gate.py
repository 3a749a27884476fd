"""The gate as a stage of the pipeline: pairs come in, those that may leave go on."""

from collections.abc import Iterable, Iterator

from app.domain.quality import Check, Gate, Inspection
from app.pairs.selection import Selection
from app.pairs.source import BATCH, Found, OpenSession, read_pairs


def inspect(found: Found, inspection: Inspection) -> Check | None:
    """What is wrong with a pair; None lets it pass."""
    return inspection.find(
        found.pair_id,
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


def look(open_session: OpenSession, selection: Selection, gate: Gate) -> Inspection:
    """What the gate finds in a selection, with nothing written: a dry run."""
    inspection = Inspection(gate)
    inspection.count(Check.RETRACTED, *selection.taken_back)
    for found in read_pairs(open_session, selection.batches(BATCH), template=gate.template):
        inspect(found, inspection)
    return inspection
