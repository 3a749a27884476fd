"""Building a snapshot: selection → splits → an export for each → one zip, kept whole or not at all.

    <name>/train/…, <name>/validation/…, <name>/test/…    each an export of its own
    <name>/README.md, <name>/SHA256SUMS                     what it is, and how to check it

What is asked for is decided in one statement at the start (app/exports/selection.py); texts never
change, so the rows are those of that moment however long the building takes.
"""

from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.database.heartbeat import Heartbeat, LostError
from app.database.sessions import Sessions
from app.domain.datasetcard import SnapshotFacts, snapshot_readme
from app.domain.messages import Message
from app.domain.prompts import Renderer
from app.domain.quality import Inspection
from app.domain.rowindex import IndexedRow, in_order
from app.domain.splits import Split
from app.domain.sums import SUMS, content_hash, sums_text
from app.exports.counts import Tally
from app.exports.export import OnPair, Order, exporting, nothing
from app.exports.formats import Rendering, format_named
from app.exports.items import ExportItem
from app.exports.model_template import restore_template
from app.exports.snapshot_store import ARCHIVE, INDEX, SnapshotStore
from app.images.normalising import Originals
from app.refusals import Conflict, Refusal
from app.snapshots import attempts, manifest
from app.snapshots.attempts import Result, Work
from app.snapshots.splitting import divide_project, divide_selection
from app.snapshots.zipping import Part, Zip

PAIRS, CLOSING = "pairs", "closing"
# Its stage, how much of it is done, of how much.
Pulse = Heartbeat[tuple[str, int, int]]


def build(
    sessions: Sessions,
    *,
    snapshot_id: int,
    worker: str,
    store: SnapshotStore,
    images: Originals,
    lease_s: float,
) -> bool:
    """Take a queued snapshot and build it. False: it was not to be had, or taken away.

    What it cannot be built for is said in its row. Raises SQLAlchemyError when the database is
    gone: the lease runs out, another builder begins anew.
    """
    with sessions.begin() as db:
        work = attempts.start(db, snapshot_id=snapshot_id, worker=worker, lease_s=lease_s)
    if work is None:
        return False
    log = structlog.get_logger("snapshots").bind(snapshot=snapshot_id, attempt=work.attempt)
    log.info("building", format=work.format)
    try:
        with _pulse(sessions, work, lease_s) as pulse:
            kept = _build(sessions, work, pulse, store, images)
    except LostError:
        log.warning("lost")
        return False
    except Refusal as refusal:
        _fail(sessions, work, refusal.message)
        return False
    except OSError as error:
        _fail(
            sessions,
            work,
            Message("The files cannot be written: %(value)s.", value=error.strerror or error),
        )
        return False
    except SQLAlchemyError:
        raise
    except Exception as error:
        log.exception("builder crashed")
        kind = type(error).__name__
        _fail(
            sessions,
            work,
            Message("The builder crashed (%(kind)s); see the worker's log.", kind=kind),
        )
        return False
    log.info("ready" if kept else "lost")
    return kept


def _pulse(sessions: Sessions, work: Work, lease_s: float) -> Pulse:
    def advance(db: Session, at: tuple[str, int, int]) -> bool:
        stage, done, total = at
        return attempts.advance(db, work, stage=stage, done=done, total=total, lease_s=lease_s)

    return Pulse(sessions, advance, ("", 0, 0), snapshot=work.snapshot_id, attempt=work.attempt)


def _fail(sessions: Sessions, work: Work, error: str) -> None:
    with sessions.begin() as db:
        attempts.fail(db, work, error)


def _build(
    sessions: Sessions, work: Work, pulse: Pulse, store: SnapshotStore, images: Originals
) -> bool:
    renderer: Renderer = work.gate.template
    if work.own_template:
        renderer = restore_template(store.model(work.snapshot_id))
    order = Order(
        wanted=work.filter,
        format=format_named(work.format),
        rendering=Rendering(renderer, folder=Split.TRAIN.value, project=work.project),
        gate=work.gate,
    )
    with sessions() as db:
        kind = order.format.kind
        selection = kind.select(db, order.wanted, [work.project_id])
        if not len(selection):
            raise Conflict(nothing(order))
        division = divide_project(db, work.plan, project_id=work.project_id)
        parts = divide_selection(db, selection, division, held_in=kind.held_in)
    total = len(selection)
    pulse.at((PAIRS, 0, total))
    tallies: dict[Split, Tally] = {}
    index: list[IndexedRow] = []
    languages: Counter[str] = Counter()

    def note(split: Split) -> OnPair:
        def on_pair(found: ExportItem) -> None:
            index.append(IndexedRow(found.key, split, found.digest))
            languages[found.sample.setting.language] += 1

        return on_pair

    with store.filling(work.snapshot_id) as folder:
        with (folder / ARCHIVE).open("wb") as file, Zip(file, work.name) as archive:
            before, inspection = 0, Inspection(order.gate)
            for split in work.plan.splits:
                part = parts[split]
                # Knows the pairs of the splits before: a pair is not held out and trained on.
                inspection = inspection.next()
                steps = exporting(
                    sessions,
                    part,
                    order,
                    sink=Part(archive, split.value),
                    store=images,
                    inspection=inspection,
                    on_pair=note(split),
                )
                try:
                    tallies[split] = _follow(steps, pulse, before, total)
                except Conflict:
                    # Nothing fell into this split, or all of it was left out: that is counted, and
                    # no file was begun.
                    tallies[split] = Tally(inspection)
                before += len(part)
            if not any(tally.rows for tally in tallies.values()):
                raise Conflict(nothing(order, *tallies.values()))
            pulse.at((CLOSING, total, total))
            rows = manifest.data_files(archive.sums)
            counts = manifest.counts(tallies, rows, division, languages)
            archive.text(SUMS, sums_text(rows))
            archive.text(
                "README.md", snapshot_readme(_facts(work, renderer, counts, content_hash(rows)))
            )
            sha256 = archive.close()
        with (folder / INDEX).open("w", encoding="ascii") as lines:
            lines.writelines(row.line() for row in in_order(index))
        result = Result(
            counts=counts,
            content_hash=content_hash(rows),
            archive_sha256=sha256,
            size=archive.size,
            manifest=manifest.manifest(order, tallies, archive.sums),
        )
        return _keep(sessions, work, store, folder, result)


def _facts(
    work: Work, renderer: Renderer, counts: Mapping[str, Any], content: str
) -> SnapshotFacts:
    return manifest.facts(
        counts,
        name=work.name,
        project=work.project,
        format=work.format,
        template=renderer.label,
        content_hash=content,
        wanted=work.filter,
        plan=work.plan,
    )


def _keep(
    sessions: Sessions, work: Work, store: SnapshotStore, folder: Path, result: Result
) -> bool:
    """Store the files first, then the row: a row that says ready has files."""
    store.keep(folder, work.snapshot_id, work.attempt)
    with sessions.begin() as db:
        kept = attempts.finish(db, work, result)
    if not kept:
        store.drop(work.snapshot_id, work.attempt)
    return kept


def _follow(steps: Generator[int, None, Tally], pulse: Pulse, before: int, total: int) -> Tally:
    """The tally of an export, once it is written; reports progress through the heartbeat."""
    with closing(steps):
        while True:
            try:
                done = next(steps)
            except StopIteration as end:
                tally: Tally = end.value
                return tally
            pulse.at((PAIRS, before + done, total))
