"""Building a snapshot: selection → splits → an export for each → one zip, kept whole or not at all.

    <name>/train/…, <name>/validation/…, <name>/test/…    each an export of its own
    <name>/README.md, <name>/SHA256SUMS                     what it is, and how to check it

What is asked for is decided in one statement at the start (app/pairs/selection.py); texts never
change, so the rows are those of that moment however long the building takes.
"""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.quality import Gate, Inspection
from app.domain.rowindex import IndexedRow, in_order
from app.domain.splits import Division, Split, divide
from app.domain.sums import SUMS, FileSum, content_hash, sums_text
from app.pairs.export import Order, exporting
from app.pairs.formats import Rendering, format_named
from app.pairs.selection import Selection, select_pairs
from app.pairs.sinks import Originals
from app.pairs.snapshots import attempts
from app.pairs.snapshots.attempts import Result, Work
from app.pairs.snapshots.content import content_digest
from app.pairs.snapshots.pulse import LostError, Pulse
from app.pairs.snapshots.reading import readme
from app.pairs.snapshots.store import ARCHIVE, INDEX, SnapshotStore
from app.pairs.snapshots.zipping import Part, Zip
from app.pairs.source import Found
from app.pairs.tally import Tally
from app.refusals import Conflict, Refusal

# Rows in which a trainer reads; everything else in a snapshot is about them.
_DOCUMENTS = (".md", ".yaml", "dataset_info.json")
READING, PACKING = "pairs", "packing"


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
    gone (the lease runs out, another builder begins anew) and KeyboardInterrupt, after it has been
    given back.
    """
    with sessions.begin() as db:
        work = attempts.start(db, snapshot_id=snapshot_id, worker=worker, lease_s=lease_s)
    if work is None:
        return False
    log = structlog.get_logger("snapshots").bind(snapshot=snapshot_id, attempt=work.attempt)
    log.info("building", format=work.format)
    try:
        with Pulse(sessions, work, lease_s=lease_s) as pulse:
            kept = _build(sessions, work, pulse, store, images)
    except LostError:
        log.warning("lost")
        return False
    except Refusal as refusal:
        _fail(sessions, work, refusal.message)
        return False
    except OSError as error:
        _fail(sessions, work, f"The files cannot be written: {error.strerror or error}.")
        return False
    except KeyboardInterrupt:
        with sessions.begin() as db:
            attempts.give_back(db, work)
        raise
    except SQLAlchemyError:
        raise
    except Exception as error:
        log.exception("builder crashed")
        kind = type(error).__name__
        _fail(sessions, work, f"The builder crashed ({kind}); see the worker's log.")
        return False
    log.info("ready" if kept else "lost")
    return kept


def _fail(sessions: Sessions, work: Work, error: str) -> None:
    with sessions.begin() as db:
        attempts.fail(db, work, error)


@dataclass(slots=True)
class _Made:
    """What has been written so far."""

    tallies: dict[Split, Tally] = field(default_factory=dict)
    index: list[IndexedRow] = field(default_factory=list)


def _build(
    sessions: Sessions, work: Work, pulse: Pulse, store: SnapshotStore, images: Originals
) -> bool:
    order = Order(
        wanted=work.filter,
        format=format_named(work.format),
        rendering=Rendering(template=work.template),
        gate=gate_of(work),
    )
    with sessions() as db:
        selection = select_pairs(db, order.wanted, [work.project_id])
        division = _division(db, work)
        parts = _parts(db, selection, division)
    total = max(1, len(selection))
    pulse.at(READING, 0, total)
    made, inspection = _Made(), Inspection(order.gate)
    with store.filling(work.snapshot_id) as folder:
        filled = folder / "filled"
        filled.mkdir()
        with (filled / ARCHIVE).open("wb") as file:
            archive = Zip(file, work.name)
            before = 0
            for split, part in parts.items():
                steps = exporting(
                    sessions,
                    part,
                    order,
                    sink=Part(archive, split.value),
                    store=images,
                    inspection=inspection,
                    on_pair=_note(made, split),
                )
                made.tallies[split] = _follow(steps, pulse, before, total, split)
                before += len(part)
            pulse.at(PACKING, total, total)
            rows = data_files(archive.sums)
            archive.text(SUMS, sums_text(rows))
            counts = _counts(made, selection, division)
            archive.text("README.md", readme(work, counts, content_hash(rows)))
            sha256 = archive.close()
        (filled / INDEX).write_text(
            "".join(row.line() for row in in_order(made.index)), encoding="ascii"
        )
        result = Result(
            counts=counts,
            content_hash=content_hash(rows),
            archive_sha256=sha256,
            size=archive.size,
            manifest=_manifest(order, archive.sums),
        )
        store.keep(filled, work.snapshot_id, work.attempt)
        with sessions.begin() as db:
            kept = attempts.finish(db, work, result)
        if not kept:
            store.drop(work.snapshot_id, work.attempt)
        return kept
