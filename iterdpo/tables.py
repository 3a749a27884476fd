"""Rows as datasets: on disk, with images as paths that are decoded when a row is looked at."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets

from iterdpo.duplicates import distinct
from iterdpo.pixels import readable
from iterdpo.pulling import Pulled
from iterdpo.studio import sha256_of

_TEXT = datasets.Value("string")
_IMAGES = datasets.List(datasets.Image())
RAW = datasets.Features(
    {
        "pair_id": _TEXT,
        "project": _TEXT,
        "sample": _TEXT,
        "images": _IMAGES,
        "system": _TEXT,
        "turns": datasets.List(
            {
                "role": _TEXT,
                "content": _TEXT,
                "image_places": datasets.List(datasets.Value("int64")),
            }
        ),
        "image_places": datasets.List(datasets.Value("int64")),
        "instruction": _TEXT,
        "prefix": _TEXT,
        "chosen": _TEXT,
        "rejected": _TEXT,
        "ends_output": datasets.Value("bool"),
        "on_policy": datasets.Value("bool"),
        "position": datasets.Value("int64"),
        "kind": _TEXT,
        "annotator": _TEXT,
        "policy": _TEXT,
        "created_at": _TEXT,
        "cursor": datasets.Value("int64"),
    }
)
# A studio from before there were conversations does not send these.
_NO_CONTEXT: Mapping[str, Any] = {
    "system": "",
    "turns": [],
    "image_places": [],
    "context": "",
}
# What format=trl says of a pair: what the trainer reads, and what renders it for another model.
RENDERED = datasets.Features(
    {
        "images": _IMAGES,
        "prompt": _TEXT,
        "chosen": _TEXT,
        "rejected": _TEXT,
        "pair_id": _TEXT,
        "segment": datasets.Value("int64"),
        "is_last": datasets.Value("bool"),
        "n_images": datasets.Value("int64"),
        "instruction": _TEXT,
        "context": _TEXT,
        "prefix": _TEXT,
        "segment_chosen": _TEXT,
        "segment_rejected": _TEXT,
        "kind": _TEXT,
        "on_policy": datasets.Value("bool"),
        "annotator": _TEXT,
        "policy": _TEXT,
        "created_at": _TEXT,
        "cursor": datasets.Value("int64"),
    }
)
PREFERENCE = datasets.Features(
    {"images": _IMAGES, "prompt": _TEXT, "chosen": _TEXT, "rejected": _TEXT, "pair_id": _TEXT}
)

IMITATION = datasets.Features(
    {"images": _IMAGES, "prompt": _TEXT, "completion": _TEXT, "pair_id": _TEXT}
)


def pulled_table(
    pulled: Pulled,
    features: datasets.Features,
    image: Callable[[str], Path],
    cache: Path,
    *,
    duplicates: bool,
) -> datasets.Dataset:
    """The fields of GET /pairs that the features name (RAW or RENDERED).

    image: where the file of a SHA-256 is; it must be there already. duplicates: they stay.
    """
    if not pulled.pairs:
        # datasets makes no table of a generator that yields nothing.
        return datasets.Dataset.from_dict({name: [] for name in features}, features=features)

    def rows() -> Iterator[dict[str, Any]]:
        pairs = pulled.rows()
        for pair in pairs if duplicates else distinct(pairs):
            files = [str(readable(image(sha256_of(address)))) for address in pair["images"]]
            known = {**_NO_CONTEXT, **pair}
            yield {name: known[name] for name in features} | {"images": files}

    fingerprint = f"{pulled.sha256[:48]}{int(duplicates):016x}"
    return _table(rows, features, cache, fingerprint)


def training_table(
    rows: Iterable[Mapping[str, Any]], features: datasets.Features, cache: Path, fingerprint: str
) -> datasets.Dataset:
    """What DPOTrainer (PREFERENCE) or SFTTrainer (IMITATION) reads; fingerprint: another one for
    other rows or features.

    The column "images" is there even where no row has one: without it TRL takes the rows for plain
    text, and appends end-of-turn to every segment.
    """

    def same() -> Iterator[Mapping[str, Any]]:
        yield from rows

    return _table(same, features, cache, fingerprint)


def _table(
    rows: Callable[[], Iterator[Any]], features: datasets.Features, cache: Path, fingerprint: str
) -> datasets.Dataset:
    # The generator hides what it reads from datasets, whose own fingerprint of it would take an
    # earlier table for this one.
    return datasets.Dataset.from_generator(
        rows, features=features, cache_dir=str(cache), fingerprint=fingerprint
    )
