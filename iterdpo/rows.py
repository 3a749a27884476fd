"""The pairs to train on, from a pull or from an exported directory: the same rows either way."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from iterdpo.duplicates import distinct
from iterdpo.images import SHA256, digest_of
from iterdpo.pulling import Pulled
from iterdpo.refusals import TrainingRefusal
from iterdpo.studio import sha256_of

# A split of a snapshot is a directory of this name beside the others.
TRAIN, VALIDATION = "train", "validation"
_TEXTS = ("instruction", "prefix", "chosen", "rejected")


@dataclass(frozen=True, slots=True)
class Row:
    """A pair before it is rendered for a model.

    images: SHA-256 of each, in order. context: what the model reads around the instruction, as
    JSON text: the system message, earlier turns, and the places of images; "" where there is none.
    """

    pair_id: str
    images: tuple[str, ...]
    instruction: str
    prefix: str
    chosen: str
    rejected: str
    ends_output: bool
    on_policy: bool
    context: str = ""

    @property
    def sample(self) -> str:
        """What rows of one sample have in common, however they came here."""
        facts = [self.images, self.instruction, *([self.context] if self.context else [])]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def context_texts(self) -> list[str]:
        """The texts of the context that a model reads."""
        context = json.loads(self.context or "{}")
        return [context.get("system", ""), *(turn["content"] for turn in context.get("turns", ()))]


@dataclass(frozen=True, slots=True)
class Source:
    """Rows and where the files of their images are. splits: rows by "train" and "validation".
    left_out: ids of pairs that are no row, by reason."""

    name: str
    splits: Mapping[str, Sequence[Row]]
    image: Callable[[str], Path]
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)


def pulled_source(
    pulled: Pulled, name: str, image: Callable[[str], Path], *, duplicates: bool = False
) -> Source:
    """What a pull brought. image: gives the file for a SHA-256. duplicates: they stay, as in an
    export that allows them; the feed, which sees one page at a time, sends them all."""
    left_out: dict[str, list[str]] = {}
    pairs: Iterable[Mapping[str, Any]] = pulled.rows()
    if not duplicates:
        pairs = distinct(pairs, left_out)
    rows = _ordered(_pulled_row(pair) for pair in pairs)
    return Source(name, {TRAIN: rows}, image, left_out)


def directory_source(directory: Path) -> Source:
    """A directory that was exported for TRL: its metadata.jsonl, or one in train/ and, if it is
    there, in validation/. Raises TrainingRefusal for what is no such directory or was changed."""
    if (directory / "metadata.jsonl").is_file():
        places = {TRAIN: directory}
    else:
        places = {
            split: directory / split
            for split in (TRAIN, VALIDATION)
            if (directory / split / "metadata.jsonl").is_file()
        }
    if TRAIN not in places:
        raise TrainingRefusal(f"{directory} holds no metadata.jsonl. Export with --format trl.")
    files: dict[str, Path] = {}
    splits = {split: _ordered(_exported_rows(place, files)) for split, place in places.items()}
    return Source(str(directory), splits, files.__getitem__)


def data_hash(rows: Sequence[Row]) -> str:
    """A SHA-256 of what the rows teach: the same for the same pairs, pulled or exported, whichever
    of two equal ones was left out."""
    return hashlib.sha256(b"".join(sorted(map(_taught, rows)))).hexdigest()


def held_out(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """The rows to train on and those of about that share of the samples, to evaluate with.

    A sample is on one side only. share 0: nothing is held out; else at least one sample is.
    """
    if not share:
        return list(rows), []
    samples = sorted({row.sample for row in rows}, key=lambda it: _drawn(it, seed))
    aside = set(samples[: max(1, round(len(samples) * share))])
    if len(aside) == len(samples):
        raise TrainingRefusal("All pairs are of one sample: nothing is left to evaluate with.")
    return (
        [row for row in rows if row.sample not in aside],
        [row for row in rows if row.sample in aside],
    )


def _drawn(sample: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{sample}".encode()).hexdigest()


def _ordered(rows: Iterator[Row]) -> list[Row]:
    # The feed and the export put them in different orders, and of two equal pairs another one may
    # be there; what is trained must not depend on it.
    return sorted(rows, key=_taught)


def _taught(row: Row) -> bytes:
    facts = [row.images, *(getattr(row, name) for name in _TEXTS), row.ends_output]
    if row.context:
        facts.append(row.context)
    return hashlib.sha256(json.dumps(facts).encode()).digest()


def _pulled_row(pair: Mapping[str, Any]) -> Row:
    return Row(
        pair_id=pair["pair_id"],
        images=tuple(_known(sha256_of(address)) for address in pair["images"]),
        instruction=pair["instruction"],
        prefix=pair["prefix"],
        chosen=pair["chosen"],
        rejected=pair["rejected"],
        ends_output=pair["ends_output"],
        on_policy=pair["on_policy"],
        context=_context(pair),
    )


def _context(pair: Mapping[str, Any]) -> str:
    """As an export writes it."""
    # A studio from before there were conversations does not send these.
    found = {
        "system": pair.get("system", ""),
        "turns": pair.get("turns", []),
        "image_places": pair.get("image_places", []),
    }
    return json.dumps(found, ensure_ascii=False) if any(found.values()) else ""


def _known(sha256: str) -> str:
    if not SHA256.fullmatch(sha256):
        raise TrainingRefusal(f"The studio names an image that is no SHA-256: {sha256!r}.")
    return sha256


def _exported_rows(place: Path, files: dict[str, Path]) -> Iterator[Row]:
    path = place / "metadata.jsonl"
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                fields = json.loads(line)
                row = _exported_row(fields)
                names = fields.get("images_file_names", [])
            except (ValueError, KeyError, TypeError) as error:
                raise TrainingRefusal(f"{path}, line {number}: no row of an export.") from error
            yield replace(row, images=tuple(_image(place, name, files) for name in names))


def _exported_row(fields: Mapping[str, Any]) -> Row:
    return Row(
        pair_id=fields["pair_id"],
        images=(),
        instruction=fields["instruction"],
        prefix=fields["prefix"],
        chosen=fields["segment_chosen"],
        rejected=fields["segment_rejected"],
        ends_output=fields["is_last"],
        on_policy=fields["on_policy"],
        context=fields.get("context", ""),
    )


def _image(place: Path, name: str, files: dict[str, Path]) -> str:
    """The SHA-256 in an image's name; checked against its bytes when it is first met."""
    match = re.fullmatch(r"images/([0-9a-f]{64})\.[a-z]{3,4}", name)
    if match is None:
        raise TrainingRefusal(f"{place}: {name} is no image of an export.")
    sha256 = match[1]
    if sha256 not in files:
        file = place / name
        if not file.is_file() or digest_of(file) != sha256:
            raise TrainingRefusal(f"{file} is missing or was changed since the export.")
        files[sha256] = file
    return sha256
