"""The export pipeline: selected pairs through the gate, in a format, into a sink.

    selection → source → gate → format → sink

Pairs pass one at a time, so memory stays flat. The sink decides whether the result is a directory,
a zip file or a stream.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from app.domain.filters import PairFilter
from app.domain.formats import UNHELD
from app.domain.messages import Message
from app.domain.quality import CHECKS, Check, Gate, Inspection
from app.domain.text import SPECIAL_STRINGS
from app.exports.counts import Tally
from app.exports.formats import Format, Rendering
from app.exports.items import ExportItem, ItemKind
from app.exports.model_template import ModelTemplate
from app.exports.reader import OpenSession
from app.exports.selection import Selection
from app.exports.sinks import MANIFEST, Sink, directory
from app.exports.writer import writer
from app.images.normalising import Originals
from app.refusals import Conflict, Invalid

OnProgress = Callable[[int, int], None]
OnPair = Callable[[ExportItem], None]


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that an export's content depends on, except the data.

    The gate also checks for what the format and model cannot take. Raises Invalid for a filter that
    does not apply to the format's items, and for a model that the format cannot be rendered for.
    """

    wanted: PairFilter
    format: Format
    rendering: Rendering
    gate: Gate

    def __post_init__(self) -> None:
        self.format.kind.refuse(self.wanted)
        renderer = self.rendering.renderer
        if why := self.format.refusal(renderer):
            raise Invalid(why, "format")
        own = tuple(one for one in renderer.special_strings if one not in SPECIAL_STRINGS)
        gate = replace(self.gate, reserved=self.format.reserved, special=own)
        object.__setattr__(self, "gate", gate)

    @property
    def kind(self) -> ItemKind:
        """The kind of item that the format exports."""
        return self.format.kind

    def canonical(self) -> dict[str, object]:
        """The order as JSON values: equal orders over equal data produce equal exports."""
        return {
            "filter": self.wanted.canonical(),
            "format": self.format.name,
            "gate": self.gate.canonical(),
            **self.template,
        }

    @property
    def template(self) -> dict[str, str]:
        """The chat template of the rows; a model's own is identified by its hash, not its path."""
        renderer = self.rendering.renderer
        if not isinstance(renderer, ModelTemplate):
            return {"template": renderer.label}
        return {"template": renderer.label, "template_sha256": renderer.sha256}


def exporting(
    open_session: OpenSession,
    selection: Selection,
    order: Order,
    *,
    sink: Sink,
    store: Originals,
    inspection: Inspection | None = None,
    on_pair: OnPair | None = None,
) -> Generator[int, None, Tally]:
    """Write an export; yields the number of items read from time to time, and returns the counts.

    A caller that streams the bytes sends them at each yield.

    inspection: reuses the pairs that it already knows, whose duplicates are left out here.
    on_pair: called with each item that is written.

    Raises Conflict when nothing is left to write, NotFound when the store lacks an image.
    """
    inspection = inspection or Inspection(order.gate)
    inspection.count(Check.RETRACTED, *map(str, selection.taken_back))
    tally = Tally(inspection)
    done = 0
    kind = order.kind
    with writer(sink, order.format, order.rendering, tally, store) as rows:
        for ids in selection.batches(kind.batch):
            with open_session() as db:
                batch = kind.read(db, ids, order.wanted, order.gate.template)
            for found in kind.passing(batch, inspection):
                rows.add(found)
                if on_pair is not None:
                    on_pair(found)
            done += len(ids)
            yield done
        if not tally.pairs:
            raise Conflict(nothing(order, tally))
    for name, file in rows.images.items():
        sink.image(file, name)
        yield done
    for name, text in order.format.documents(tally, order.rendering).items():
        tally.files[name] = _write(sink, name, text)
    _write(sink, MANIFEST, manifest(order, tally))
    return tally


def export_directory(
    db: Session,
    order: Order,
    *,
    projects: list[int],
    out: Path,
    store: Originals,
    on_progress: OnProgress | None = None,
) -> Tally:
    """Write an export to the directory `out`, completely or not at all; replaces an earlier export.

    on_progress(done, total) is called from time to time. Raises Conflict when `out` holds anything
    else, or when there is nothing to export; NotFound when the image store lacks an image.
    """
    with directory(out) as sink:
        selection = order.kind.select(db, order.wanted, projects)
        steps = exporting(lambda: nullcontext(db), selection, order, sink=sink, store=store)
        while True:
            try:
                done = next(steps)
            except StopIteration as end:
                tally: Tally = end.value
                return tally
            if on_progress is not None:
                on_progress(done, len(selection))


def manifest(order: Order, tally: Tally) -> str:
    """What was asked for, what was written, what was left out and why, with the files' hashes.

    JSON, in a file called .yaml (which JSON is too): another .json beside the rows would make
    datasets read the directory as something else.
    """
    examples = tally.inspection.examples
    content = order.canonical() | {
        str(order.kind.nouns): tally.pairs,
        "rows": tally.rows,
        "samples": len(tally.samples),
        "ends_output": tally.last,
        "with_images": tally.with_images,
        "images": tally.images,
        "policies": dict(sorted(tally.policies.items())),
        "left_out": {
            check.value: {
                str(order.kind.nouns): count,
                "what": CHECKS[check][1],
                f"first_{order.kind.noun}_ids": examples[check],
            }
            for check, count in tally.left_out.items()
        },
        "unheld": unheld(tally),
        "normalised_images": dict(sorted(tally.normalised.items())),
        "files": dict(sorted(tally.files.items())),
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def unheld(*tallies: Tally) -> dict[str, object]:
    """What one file cannot hold although another can: how many items, and why, by file."""
    found: Counter[str] = Counter()
    for tally in tallies:
        found.update(tally.unheld)
    return {file: {"left_out": count, "what": UNHELD} for file, count in sorted(found.items())}


def nothing(order: Order, *tallies: Tally) -> Message:
    """Why the export is empty, in a sentence or two."""
    noun, wanted = order.kind.noun, order.wanted
    left_out: Counter[Check] = Counter()
    for tally in tallies:
        left_out.update(tally.left_out)
    if left_out:
        reasons = "; ".join(
            f"{count} × {check.value} ({CHECKS[check][0].lower()})"
            for check, count in left_out.items()
        )
        return Message(
            "Every requested %(noun)s is left out: %(reasons)s.",
            noun=noun,
            reasons=reasons,
        )
    if wanted.canonical().keys() - {"project"}:
        return Message("No %(noun)s matches the filters. Remove a filter to see more.", noun=noun)
    return Message(
        "%(project)s has no %(nouns)s yet. %(comes)s",
        project=" and ".join(wanted.project) or Message("The project"),
        nouns=order.kind.nouns,
        comes=order.kind.comes,
    )


def _write(sink: Sink, name: str, text: str) -> str:
    content = text.encode()
    with sink.file(name) as out:
        out.write(content)
    return hashlib.sha256(content).hexdigest()
