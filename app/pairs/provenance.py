"""Provenance of a pair, and the snapshots that contain it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.filters import PairFilter
from app.domain.prompts import Template
from app.exports.filtering import selected
from app.exports.formats import FORMATS, PAIR_FORMATS, Rendering
from app.exports.items import PAIRS
from app.exports.reader import read_batch
from app.exports.snapshot_store import SnapshotStore
from app.models import Snapshot, SnapshotState
from app.refusals import NotFound

_STORY = text(
    """
    SELECT c.superseded_by,
           ARRAY(SELECT id FROM corrections o WHERE o.superseded_by = c.id ORDER BY id),
           c.feed_position, draft.finished_at, verdict.verdict, verdict.created_at,
           rejected.origin, rejected.copied_from, rejected.regeneration_id,
           run.number, run.state, run.stop_reason, run.finished_at,
           policy.base_model, policy.revision, policy.adapter, policy.round, policy.engine,
           chosen.text, rejected.text, chosen.image_index
    FROM corrections c
    JOIN drafts draft ON draft.id = c.draft_id
    JOIN segments chosen ON chosen.id = c.chosen_id
    JOIN segments rejected ON rejected.id = c.rejected_id
    LEFT JOIN regenerations run ON run.id = rejected.regeneration_id
    LEFT JOIN policies policy ON policy.id = rejected.policy_id
    LEFT JOIN verdicts verdict
        ON verdict.draft_id = c.draft_id AND verdict.segment_id = c.chosen_id
    WHERE c.id = :id
    """
)


@dataclass(frozen=True, slots=True)
class Story:
    """The provenance of a pair.

    superseded: earlier corrections of the same segment that it replaced.
    feed_position: None before the feed has shown it.
    verdict: of the chosen segment.
    origin: of the rejected segment.
    copied: the rejected segment was carried below a correction.
    run: number of the regeneration that wrote it (1 is the imported output).
    image_index: 0-based, None if unknown.
    """

    superseded_by: int | None
    superseded: Sequence[int]
    feed_position: int | None
    draft_finished_at: datetime | None
    verdict: str | None
    verdict_at: datetime | None
    origin: str
    copied_from: int | None
    regeneration_id: int | None
    run: int | None
    run_state: str | None
    stop_reason: str | None
    run_finished_at: datetime | None
    base_model: str | None
    revision: str | None
    adapter: str | None
    round: int | None
    engine: str | None
    chosen: str
    rejected: str
    image_index: int | None

    @property
    def policy_facts(self) -> str:
        """The policy's facts in one line; "" when nothing is known."""
        facts = [self.engine, self.base_model, self.revision, self.adapter]
        return " · ".join(fact for fact in facts if fact)


@dataclass(frozen=True, slots=True)
class Held:
    """A snapshot that contains the pair, and the split that it is in."""

    id: int
    name: str
    split: str


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The pairs before and after one in a list (newest first); None at its ends."""

    newer: int | None
    older: int | None


def story(db: Session, *, pair_id: int) -> Story:
    """The provenance of the pair. Raises NotFound."""
    row = db.execute(_STORY, {"id": pair_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such pair.")
    return Story(*row)


def neighbours(db: Session, wanted: PairFilter, *, project_id: int, pair_id: int) -> Neighbours:
    """The pairs next to it among those that the filter selects."""
    found = selected(wanted, [project_id]).subquery()
    ids = db.query(found.c.id)
    newer = ids.filter(found.c.id > pair_id).order_by(found.c.id).limit(1).scalar()
    older = ids.filter(found.c.id < pair_id).order_by(found.c.id.desc()).limit(1).scalar()
    return Neighbours(newer, older)


def holders(db: Session, store: SnapshotStore, *, project_id: int, pair_id: int) -> list[Held]:
    """The project's ready snapshots that contain the pair, newest first.

    Snapshots whose files are lost cannot be searched and are left out.
    """
    ready = (
        db.query(Snapshot.id, Snapshot.attempt, Snapshot.name)
        .filter(
            Snapshot.project_id == project_id,
            Snapshot.state == SnapshotState.READY,
            # What others are made of has numbers of its own.
            Snapshot.format.in_([name for name, form in FORMATS.items() if form.kind is PAIRS]),
        )
        .order_by(Snapshot.id.desc())
    )
    found = []
    for snapshot_id, attempt, name in ready:
        try:
            row = store.find(snapshot_id, attempt, str(pair_id))
        except NotFound:
            continue
        if row is not None:
            found.append(Held(snapshot_id, name, row.split.value))
    return found


def literal_rows(db: Session, *, pair_id: int, template: Template) -> list[tuple[str, str]]:
    """The pair's rows as each format writes them, indented to be read: (format, rows)."""
    (found,) = read_batch(db, [pair_id], template=template)
    rendering = Rendering(template)
    rows = []
    for name, form in PAIR_FORMATS.items():
        made = [
            json.dumps(row, ensure_ascii=False, indent=2, default=str)
            for row in form.rows(found.pair, rendering)
        ]
        if made:
            rows.append((name, "\n".join(made)))
    return rows
