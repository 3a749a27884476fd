"""A snapshot's manifest: counts by split, and the files with their hashes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from app.domain.datasetcard import SnapshotFacts, SplitFacts
from app.domain.filters import PairFilter
from app.domain.quality import CHECKS
from app.domain.splits import Division, Split, SplitPlan
from app.domain.sums import FileSum
from app.exports.counts import Tally
from app.exports.export import Order, unheld

# What holds rows; everything else beside the images is about them.
_ROWS = frozenset({".jsonl", ".json", ".parquet"})
_ABOUT_ROWS = frozenset({"dataset_info.json"})


def data_files(files: Sequence[FileSum]) -> list[FileSum]:
    """The files that a trainer learns from: rows and images. They determine the content hash."""
    return [file for file in files if _is_image(file) or _holds_rows(file)]


def counts(
    tallies: Mapping[Split, Tally],
    files: Sequence[FileSum],
    division: Division,
    languages: Mapping[str, int],
) -> dict[str, Any]:
    """Counts in total and by split. files: see data_files."""
    left_out: Counter[str] = Counter()
    for tally in tallies.values():
        left_out.update({check.value: count for check, count in tally.left_out.items()})
    return {
        "pairs": sum(tally.pairs for tally in tallies.values()),
        "rows": sum(tally.rows for tally in tallies.values()),
        "samples": sum(len(tally.samples) for tally in tallies.values()),
        # One image may stand in several splits.
        "images": len({PurePosixPath(file.path).stem for file in files if _is_image(file)}),
        "languages": dict(sorted(languages.items())),
        "left_out": dict(left_out),
        "splits": {split.value: _split(tally, files, split) for split, tally in tallies.items()},
        "linked": {
            "samples": division.linked,
            "groups": division.groups,
            "largest": division.largest,
        },
    }


def manifest(
    order: Order, tallies: Mapping[Split, Tally], files: Sequence[FileSum]
) -> dict[str, Any]:
    """What was asked for, what was left out (with the first pairs of each check), and the files.

    The images' hashes are in SHA256SUMS only: there may be very many.
    """
    nouns, ids = str(order.kind.nouns), f"first_{order.kind.noun}_ids"
    policies: Counter[str] = Counter()
    left_out: dict[str, dict[str, Any]] = {}
    for tally in tallies.values():
        policies.update(tally.policies)
        for check, count in tally.left_out.items():
            about = left_out.setdefault(check.value, {nouns: 0, "what": CHECKS[check][1], ids: []})
            about[nouns] += count
            about[ids] += tally.inspection.examples[check]
    return {
        **order.canonical(),
        "policies": dict(sorted(policies.items())),
        "left_out": left_out,
        "unheld": unheld(*tallies.values()),
        "normalised_images": {
            sha256: name
            for tally in tallies.values()
            for sha256, name in sorted(tally.normalised.items())
        },
        "files": [
            {"path": file.path, "size": file.size, "sha256": file.sha256}
            for file in sorted(files)
            if not _is_image(file)
        ],
    }


def facts(
    counted: Mapping[str, Any],
    *,
    name: str,
    project: str,
    format: str,
    template: str,
    content_hash: str,
    wanted: PairFilter,
    plan: SplitPlan,
) -> SnapshotFacts:
    """The snapshot's facts for its documents. counted: see counts."""
    return SnapshotFacts(
        name=name,
        project=project,
        format=format,
        template=template,
        content_hash=content_hash,
        filter=wanted.words(),
        seed=plan.seed,
        validation=plan.validation,
        test=plan.test,
        separate_images=plan.separate_images,
        splits=[
            # In their own order: the database keeps the names of JSON in another.
            SplitFacts(split.value, own["rows"], own["samples"], own["images"])
            for split in Split
            if (own := counted["splits"].get(split.value)) and own["rows"]
        ],
        left_out=counted["left_out"],
        languages=list(counted["languages"]),
    )


def _split(tally: Tally, files: Sequence[FileSum], split: Split) -> dict[str, int]:
    own = [file for file in files if file.path.startswith(f"{split.value}/")]
    return {
        "pairs": tally.pairs,
        "rows": tally.rows,
        "samples": len(tally.samples),
        "images": tally.images,
        "bytes": sum(file.size for file in own),
    }


def _is_image(file: FileSum) -> bool:
    return "images" in PurePosixPath(file.path).parts[:-1]


def _holds_rows(file: FileSum) -> bool:
    path = PurePosixPath(file.path)
    return path.suffix in _ROWS and path.name not in _ABOUT_ROWS
