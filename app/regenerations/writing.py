"""A worker's text into the database: one short transaction for all that it is writing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from sqlalchemy import Row, insert, select, text
from sqlalchemy.orm import Session

from app import changes
from app.domain.certainty import Certainty, to_rows
from app.domain.tree import Origin
from app.models import Regeneration, RunState, Segment


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment that is complete. end: where it ends in the regeneration's text, code points.

    certainty: None where it is not known.
    """

    end: int
    text: str
    image_index: int | None
    certainty: Certainty | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ends: stop_reason is the engine's, or error says why it failed.

    waits: nothing has ended but this attempt; the annotator is waited for, and another goes on.
    """

    stop_reason: str | None = None
    error: str | None = None
    waits: bool = False

    @property
    def state(self) -> RunState:
        """The state that the regeneration is in from then on."""
        if self.waits:
            return RunState.WAITING
        return RunState.DONE if self.error is None else RunState.FAILED

    @property
    def ends_output(self) -> bool:
        """The model stopped by itself: nothing follows its last segment."""
        return self.error is None and self.stop_reason == "stop"


@dataclass(frozen=True, slots=True)
class Portion:
    """What an attempt has to write: text from code point `start` on, and segments now complete.

    Without any it renews the lease. With an ending that is final, the last cut is the last of the
    output.
    """

    regeneration_id: int
    attempt: int
    start: int
    text: str = ""
    cuts: tuple[Cut, ...] = ()
    ending: Ending | None = None

    @property
    def renews_only(self) -> bool:
        """Nothing is new but that the worker lives."""
        return not self.text and not self.cuts and self.ending is None


class Outcome(Enum):
    """What became of a portion."""

    WRITTEN = auto()
    # Somebody else's transaction holds the row for a moment: try again with the next batch.
    BUSY = auto()
    # The attempt does not hold the regeneration any more: drop everything, stop the engine.
    LOST = auto()


# A row of _lock.
Held = Row[*tuple[Any, ...]]


def append(db: Session, portions: Sequence[Portion], *, lease_s: float) -> dict[int, Outcome]:
    """Write what each attempt still holds and renew its lease; the outcome for each regeneration.

    A portion may come twice (its COMMIT was sent and the connection died): what the row already
    has is left off. So no text can be doubled, left out or put out of order.
    """
    asked = {portion.regeneration_id: portion for portion in portions}
    held = _lock(db, asked)
    outcome = {row.id: Outcome.WRITTEN for row in held}
    if missing := asked.keys() - outcome.keys():
        outcome |= _why_missing(db, [asked[one] for one in missing])
    chunks: list[tuple[int, int, str]] = []
    rows: list[dict[str, Any]] = []
    keys: list[str] = []
    for row in held:
        portion = asked[row.id]
        news = portion.text[row.written - portion.start :]
        if news:
            chunks.append((row.id, row.written, news))
        leaf_id, cut = _add_segments(db, row, portion)
        rows.append(_state(row, portion, row.written + len(news), leaf_id, cut))
        if not portion.renews_only:
            keys.append(f"regeneration:{row.id}")
        if portion.cuts or portion.ending:
            keys.append(f"draft:{row.draft_id}")
    if chunks:
        ids, starts, texts = zip(*chunks, strict=True)
        db.execute(_INSERT_CHUNKS, {"ids": [*ids], "starts": [*starts], "texts": [*texts]})
    if rows:
        db.execute(_UPDATE, {"lease_s": lease_s} | {key: [r[key] for r in rows] for key in rows[0]})
    changes.notify(db, *keys)
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


def _add_segments(db: Session, row: Held, portion: Portion) -> tuple[int, int]:
    """Insert the segments that the row does not have yet; the new leaf and where it ends."""
    leaf_id, depth, cut = row.leaf_id, row.depth, row.cut
    fresh = [one for one in portion.cuts if one.end > row.cut]
    for at, one in enumerate(fresh, 1):
        if one.end - len(one.text) != cut:
            raise ValueError(f"Segment of regeneration {row.id} does not begin at {cut}.")
        depth, cut = depth + 1, one.end
        last = portion.ending is not None and at == len(fresh)
        leaf_id = add_segment(
            db,
            one,
            sample_id=row.sample_id,
            parent_id=leaf_id,
            depth=depth,
            ends_output=last and portion.ending is not None and portion.ending.ends_output,
            policy_id=row.policy_id,
            regeneration_id=row.id,
        )
    return leaf_id, cut


def add_segment(
    db: Session,
    cut: Cut,
    *,
    sample_id: int,
    parent_id: int,
    depth: int,
    ends_output: bool,
    policy_id: int | None,
    regeneration_id: int,
    candidate: int | None = None,
) -> int:
    """Insert a segment that a model wrote; its id. The regeneration's row is locked by then."""
    return db.execute(
        insert(Segment)
        .values(
            sample_id=sample_id,
            parent_id=parent_id,
            depth=depth,
            text=cut.text,
            origin=Origin.MODEL,
            ends_output=ends_output,
            image_index=cut.image_index,
            policy_id=policy_id,
            regeneration_id=regeneration_id,
            candidate=candidate,
            certainty=cut.certainty and cut.certainty.mean,
            weak_words=cut.certainty and to_rows(cut.certainty.weak),
        )
        .returning(Segment.id)
    ).scalar_one()


def _state(row: Held, portion: Portion, written: int, leaf_id: int, cut: int) -> dict[str, Any]:
    ending = portion.ending
    return {
        "ids": row.id,
        "attempts": row.attempt,
        "written": written,
        "cut": cut,
        "leaves": leaf_id,
        "states": (ending.state if ending else RunState.RUNNING).value,
        "stop_reasons": ending.stop_reason if ending else None,
        "errors": ending.error if ending else None,
    }


_LOCK = text(
    """
    SELECT run.id, run.attempt, run.draft_id, run.sample_id, run.policy_id, run.written, run.cut,
        run.leaf_id, leaf.depth
    FROM regenerations AS run JOIN segments AS leaf ON leaf.id = run.leaf_id
    WHERE run.id = ANY (CAST(:ids AS bigint[])) AND run.state = 'running'
    ORDER BY run.id
    FOR NO KEY UPDATE OF run SKIP LOCKED
    """
)

_INSERT_CHUNKS = text(
    """
    INSERT INTO chunks (regeneration_id, start, text)
    SELECT * FROM unnest(
        CAST(:ids AS bigint[]), CAST(:starts AS bigint[]), CAST(:texts AS text[]))
    """
)

_UPDATE = text(
    """
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
        lease_until = CASE WHEN new.state = 'running'
            THEN clock_timestamp() + make_interval(secs => :lease_s) END
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:attempts AS bigint[]), CAST(:written AS bigint[]),
        CAST(:cut AS bigint[]), CAST(:leaves AS bigint[]), CAST(:states AS text[]),
        CAST(:stop_reasons AS text[]), CAST(:errors AS text[])
    ) AS new (id, attempt, written, cut, leaf_id, state, stop_reason, error)
    WHERE run.id = new.id AND run.attempt = new.attempt AND run.state = 'running'
    """
)
