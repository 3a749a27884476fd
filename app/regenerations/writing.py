"""Writes a worker's text to the database: one short transaction for all its streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from sqlalchemy import Row, insert, select, text
from sqlalchemy.orm import Session

from app.database import notifications
from app.domain.certainty import Certainty, to_rows
from app.domain.spans import written_after
from app.domain.tree import Origin
from app.models import Regeneration, RunState, Segment, table_of


@dataclass(frozen=True, slots=True)
class Cut:
    """A complete segment. end: its end in the regeneration's text, in code points.

    certainty: None where it is not known.
    """

    end: int
    text: str
    image_index: int | None
    certainty: Certainty | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ends: stop_reason comes from the engine, or error says why it failed.

    waits: only this attempt has ended; the annotator is waited for, and another attempt continues.
    """

    stop_reason: str | None = None
    error: str | None = None
    waits: bool = False

    @property
    def state(self) -> RunState:
        """The state that the regeneration is in afterwards."""
        if self.waits:
            return RunState.WAITING
        return RunState.DONE if self.error is None else RunState.FAILED

    @property
    def ends_output(self) -> bool:
        """The model stopped by itself: nothing follows its last segment."""
        return self.error is None and self.stop_reason == "stop"


@dataclass(frozen=True, slots=True)
class Portion:
    """What an attempt has to write: text from code point `start` on, and newly complete segments.

    Without either it renews the lease. With an ending that is final, the last cut is the last of
    the output.
    """

    regeneration_id: int
    attempt: int
    start: int
    text: str = ""
    cuts: tuple[Cut, ...] = ()
    ending: Ending | None = None

    @property
    def renews_only(self) -> bool:
        """The portion is empty and only renews the lease."""
        return not self.text and not self.cuts and self.ending is None


class Outcome(Enum):
    """The result of writing a portion."""

    WRITTEN = auto()
    # Somebody else's transaction holds the row for a moment: try again with the next batch.
    BUSY = auto()
    # The attempt does not hold the regeneration any more: drop everything, stop the engine.
    LOST = auto()


# A row of _lock.
Held = Row[*tuple[Any, ...]]


def append(db: Session, portions: Sequence[Portion], *, lease_s: float) -> dict[int, Outcome]:
    """Write what each attempt still holds and renew its lease; returns the outcome by regeneration.

    A portion may come twice (its COMMIT was sent and the connection died): what the row already has
    is skipped. So no text can be doubled, left out or put out of order.
    """
    asked = {portion.regeneration_id: portion for portion in portions}
    held = _lock(db, asked)
    outcome = {row.id: Outcome.WRITTEN for row in held}
    if missing := asked.keys() - outcome.keys():
        outcome |= _why_missing(db, [asked[one] for one in missing])
    if held:
        leaves = _add_segments(db, [(row, asked[row.id]) for row in held])
        rows = [_row(row, asked[row.id], *leaves[row.id]) for row in held]
        db.execute(
            _WRITE,
            {key: [row[key] for row in rows] for key in rows[0]}
            | {"lease_s": lease_s, "channel": notifications.CHANNEL},
        )
    return outcome


def _lock(db: Session, asked: dict[int, Portion]) -> list[Held]:
    """The rows that these attempts hold, locked in the order of their ids; busy ones left out."""
    rows = db.execute(_LOCK, {"ids": [*asked]}).all()
    return [
        row
        for row in rows
        if row.attempt == asked[row.id].attempt
        # By this attempt's own hand the row is never behind the portion nor beyond its end.
        and 0 <= row.written - asked[row.id].start <= len(asked[row.id].text)
    ]


def _why_missing(db: Session, portions: Sequence[Portion]) -> dict[int, Outcome]:
    rows = db.execute(
        select(Regeneration.id, Regeneration.attempt, Regeneration.written).where(
            Regeneration.id.in_([portion.regeneration_id for portion in portions]),
            Regeneration.state == RunState.RUNNING,
        )
    )
    found = {row.id: row for row in rows}
    outcome = {}
    for portion in portions:
        row = found.get(portion.regeneration_id)
        mine = (
            row is not None
            and row.attempt == portion.attempt
            and 0 <= row.written - portion.start <= len(portion.text)
        )
        outcome[portion.regeneration_id] = Outcome.BUSY if mine else Outcome.LOST
    return outcome


def _add_segments(db: Session, held: Sequence[tuple[Held, Portion]]) -> dict[int, tuple[int, int]]:
    """Insert the segments that the rows do not have yet; for each the leaf and where it ends then.

    One statement for the first segment of each, one for the second: a segment names its parent.
    """
    leaves = {row.id: (row.leaf_id, row.cut) for row, _ in held}
    fresh = [(row, portion, _fresh(row, portion)) for row, portion in held]
    for at in range(max(len(cuts) for _, _, cuts in fresh)):
        wave = [(row, portion, cuts) for row, portion, cuts in fresh if at < len(cuts)]
        ids = add_segments(
            db,
            [
                segment_values(
                    cuts[at],
                    sample_id=row.sample_id,
                    parent_id=leaves[row.id][0],
                    depth=row.depth + at + 1,
                    ends_output=cuts[at] is cuts[-1] and _ends_output(portion),
                    policy_id=row.policy_id,
                    regeneration_id=row.id,
                    deleted=row.deleted if leaves[row.id][0] == row.anchor_id else None,
                )
                for row, portion, cuts in wave
            ],
        )
        for (row, _, cuts), segment_id in zip(wave, ids, strict=True):
            leaves[row.id] = segment_id, cuts[at].end
    return leaves


def _fresh(row: Held, portion: Portion) -> list[Cut]:
    """The portion's segments that the row does not have yet."""
    cuts = [one for one in portion.cuts if one.end > row.cut]
    start = row.cut
    for one in cuts:
        if one.end - len(one.text) != start:
            raise ValueError(f"Segment of regeneration {row.id} does not begin at {start}.")
        start = one.end
    return cuts


def _ends_output(portion: Portion) -> bool:
    return portion.ending is not None and portion.ending.ends_output


def segment_values(
    cut: Cut,
    *,
    sample_id: int,
    parent_id: int,
    depth: int,
    ends_output: bool,
    policy_id: int | None,
    regeneration_id: int,
    candidate: int | None = None,
    deleted: list[list[Any]] | None = None,
) -> dict[str, Any]:
    """A segment that a model wrote, for add_segments. deleted: in front of it, by the annotator."""
    return {
        "sample_id": sample_id,
        "parent_id": parent_id,
        "depth": depth,
        "text": cut.text,
        "origin": Origin.MODEL,
        "ends_output": ends_output,
        "image_index": cut.image_index,
        "policy_id": policy_id,
        "regeneration_id": regeneration_id,
        "candidate": candidate,
        "certainty": cut.certainty and cut.certainty.mean,
        "weak_words": cut.certainty and to_rows(cut.certainty.weak),
        "spans": written_after(deleted, len(cut.text)),
    }


def add_segments(db: Session, values: Sequence[dict[str, Any]]) -> Sequence[int]:
    """Insert segments; their ids in the same order. The rows of their runs are locked by then."""
    return db.connection().execute(_ADD, [*values]).scalars().all()


def _row(row: Held, portion: Portion, leaf_id: int, cut: int) -> dict[str, Any]:
    """The new values of a row, and which listeners to notify."""
    ending = portion.ending
    return {
        "ids": row.id,
        "starts": row.written,
        "texts": portion.text[row.written - portion.start :],
        "cuts": cut,
        "leaves": leaf_id,
        "states": (ending.state if ending else RunState.RUNNING).value,
        "stop_reasons": ending.stop_reason if ending else None,
        "errors": ending.error if ending else None,
        "streams": None if portion.renews_only else f"regeneration:{row.id}",
        "drafts": f"draft:{row.draft_id}" if portion.cuts or ending else None,
    }


# Built once, on the table: the ORM would compose the statement again on each call.
_ADD = insert(table_of(Segment)).returning(table_of(Segment).c.id, sort_by_parameter_order=True)

_LOCK = text(
    """
    SELECT run.id, run.attempt, run.draft_id, run.sample_id, run.policy_id, run.written, run.cut,
        run.leaf_id, run.anchor_id, run.deleted, leaf.depth
    FROM regenerations AS run JOIN segments AS leaf ON leaf.id = run.leaf_id
    WHERE run.id = ANY (CAST(:ids AS bigint[])) AND run.state = 'running'
    ORDER BY run.id
    FOR NO KEY UPDATE OF run SKIP LOCKED
    """
)

# The attempt needs no second look: _lock holds the rows. A lease is moved on once a sixth of it is
# gone, not each time: it is in an index, and without it a new version of the row needs none.
_WRITE = text(
    """
    WITH new AS (
        SELECT *, start + length(text) AS written FROM unnest(
            CAST(:ids AS bigint[]), CAST(:starts AS bigint[]), CAST(:texts AS text[]),
            CAST(:cuts AS bigint[]), CAST(:leaves AS bigint[]), CAST(:states AS text[]),
            CAST(:stop_reasons AS text[]), CAST(:errors AS text[])
        ) AS new (id, start, text, cut, leaf_id, state, stop_reason, error)
    ), told AS (
        INSERT INTO chunks (regeneration_id, start, text)
        SELECT id, start, text FROM new WHERE text <> ''
    ), kept AS (
        UPDATE regenerations AS run SET
            written = new.written,
            cut = new.cut,
            leaf_id = new.leaf_id,
            state = new.state,
            stop_reason = new.stop_reason,
            error = new.error,
            first_text_at = CASE WHEN new.written > 0
                THEN coalesce(first_text_at, clock_timestamp()) END,
            finished_at = CASE WHEN new.state NOT IN ('running', 'waiting')
                THEN clock_timestamp() END,
            lease_until = CASE
                WHEN new.state <> 'running' THEN NULL
                WHEN lease_until > clock_timestamp() + make_interval(secs => :lease_s * 5 / 6)
                    THEN lease_until
                ELSE clock_timestamp() + make_interval(secs => :lease_s) END
        FROM new WHERE run.id = new.id
    )
    SELECT pg_notify(:channel, key)
    FROM unnest(CAST(:streams AS text[]) || CAST(:drafts AS text[])) AS key
    WHERE key IS NOT NULL
    """
)
