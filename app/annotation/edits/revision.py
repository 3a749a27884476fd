"""One revision of a draft: its version, its verdicts, its entry in the history.

Every act of this package ends in `record`; nothing else writes a draft's head or version.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import orjson
from sqlalchemy import and_, bindparam, select, text
from sqlalchemy.orm import Session

from app import regenerations
from app.annotation.edits.pairing import settle
from app.annotation.edits.path import Path, PathSegment, add_copies, copy_of, whole
from app.database import notifications
from app.domain.corrections import Verdict
from app.domain.spans import Spans, read, stored
from app.models import (
    UNFINISHED,
    Action,
    Draft,
    DraftVerdict,
    Regeneration,
    Revision,
    RunState,
    now,
)
from app.refusals import Forbidden, Outdated

# Statements are built once: composing one costs SQLAlchemy more than running it.
_VERDICTS = select(DraftVerdict.segment_id, DraftVerdict.verdict).where(
    DraftVerdict.draft_id == bindparam("draft")
)
# A revision's rows in one round trip; each part writes a different table.
_RECORD = text(
    """
    WITH given AS (
        INSERT INTO verdicts (draft_id, segment_id, verdict)
        SELECT :draft, * FROM unnest(CAST(:segments AS bigint[]), CAST(:verdicts AS text[]))
        ON CONFLICT (draft_id, segment_id) DO UPDATE SET verdict = excluded.verdict
    ), gone AS (
        DELETE FROM verdicts WHERE draft_id = :draft AND segment_id = ANY(:gone)
    ), forgotten AS (
        DELETE FROM unsaved_edits WHERE draft_id = :draft AND segment_id = :forgotten
    ), history AS (
        INSERT INTO revisions (
            draft_id, version, action, segment_id, head_id, previous_head_id,
            previous_regeneration_id, previous_verdicts, correction_id, rested)
        VALUES (
            :draft, :version, :action, :segment, :head, :previous_head,
            :previous_run, CAST(:previous_verdicts AS jsonb), :correction, :rested)
    )
    SELECT pg_notify(:channel, :key)
    """
)

# The revisions of the draft `draft` that Undo can undo.
UNDOABLE = and_(
    Revision.draft_id == bindparam("draft"),
    Revision.undone_by.is_(None),
    Revision.action != Action.UNDO,
)
_LAST = select(Revision).where(UNDOABLE).order_by(Revision.version.desc()).limit(1)


class Stale(Outdated):
    """The draft has changed since the requesting page was rendered."""


@dataclass(frozen=True)
class DraftState:
    """A draft before a revision: its path, its current run, its verdicts on the path."""

    path: Path
    run: Regeneration | None
    read_verdicts: Callable[[], Mapping[int, Verdict]]

    @cached_property
    def verdicts(self) -> Mapping[int, Verdict]:
        """The verdicts before the revision; read on first use."""
        return self.read_verdicts()

    @property
    def unfinished(self) -> bool:
        """More text will follow the leaf: a run is writing it, or waits for the annotator."""
        return self.run is not None and self.run.state in UNFINISHED

    @property
    def waits(self) -> bool:
        """The run waits for its annotator."""
        return self.run is not None and self.run.state is RunState.WAITING

    @property
    def deleted_at_end(self) -> Spans:
        """What was deleted in the position where a run that has no text yet continues."""
        if self.run is None or self.run.deleted is None or self.run.anchor_id != self.path.leaf.id:
            return ()
        return read(self.run.deleted, segment_id=0, length=0)

    @property
    def ahead(self) -> int | None:
        """How many more segments the unfinished run may write before it waits; None: no limit."""
        if self.run is None or self.run.wanted is None or self.run.undecided:
            return None
        if self.waits:
            return 0
        anchor = self.path.find(self.run.anchor_id)
        written = self.path.leaf.depth - (anchor.depth if anchor else 0)
        return max(1, self.run.wanted - written)


def draft_state(db: Session, draft: Draft) -> DraftState:
    """The path, the run and the verdicts of a draft."""
    run = db.get(Regeneration, draft.regeneration_id) if draft.regeneration_id else None
    path = Path.load(db, run.leaf_id if run else draft.head_id)
    return DraftState(path, run, lambda: verdicts_of(db, draft, path))


def verdicts_of(db: Session, draft: Draft, path: Path) -> dict[int, Verdict]:
    """The draft's verdicts on the segments of `path`."""
    on_path = {step.id for step in path.segments}
    rows = db.execute(_VERDICTS, {"draft": draft.id})
    return {row.segment_id: row.verdict for row in rows if row.segment_id in on_path}


def begin(draft: Draft, base_version: int) -> None:
    """Raises Stale for an old base_version, Forbidden for a finished draft."""
    if draft.version != base_version:
        raise Stale("This text was changed in another window after you opened it.")
    if draft.finished_at is not None:
        raise Forbidden("This sample is finished. Reopen it to change the text.")


def record(
    db: Session,
    *,
    draft: Draft,
    action: Action,
    before: DraftState,
    after: Path,
    verdicts: Mapping[int, Verdict | None],
    segment_id: int | None,
    forget_id: int | None = None,
    quiet: bool = False,
) -> int:
    """Settle the pairs, write verdicts, history and the next version, and notify listeners.

    after: the path that the revision made.
    verdicts: None removes a verdict.
    forget_id: the segment whose unsaved text this revision saved.
    quiet: resting pairs are the purpose of this revision, so the page does not report them.

    The caller has already set draft.head_id and draft.regeneration_id where they change. Returns
    the new version.
    """
    given = {segment: verdict for segment, verdict in verdicts.items() if verdict is not None}
    # A segment that this revision created has no earlier verdict: skip the query.
    was = {
        str(segment): before.verdicts.get(segment) if before.path.find(segment) else None
        for segment in verdicts
    }
    settled = settle(
        db,
        draft=draft,
        before=before.path,
        after=after,
        verdicts=lambda: _verdicts_after(db, draft, before, after, verdicts),
    )
    draft.version += 1
    draft.updated_at = now()
    db.flush()
    db.execute(
        _RECORD,
        {
            "draft": draft.id,
            "version": draft.version,
            "action": action,
            "segment": segment_id,
            "head": draft.head_id,
            "previous_head": before.path.leaf.id,
            "previous_run": before.run.id if before.run else None,
            "previous_verdicts": orjson.dumps(was).decode(),
            "correction": settled.made.get(segment_id or 0),
            "rested": 0 if quiet else settled.rested,
            "segments": [*given],
            "verdicts": [*given.values()],
            "gone": [segment for segment, verdict in verdicts.items() if verdict is None],
            "forgotten": forget_id,
            "channel": notifications.CHANNEL,
            "key": f"draft:{draft.id}",
        },
    )
    return draft.version


def _verdicts_after(
    db: Session,
    draft: Draft,
    before: DraftState,
    after: Path,
    changed: Mapping[int, Verdict | None],
) -> Mapping[int, Verdict]:
    """The verdicts on the path after a revision, including those not written yet."""
    known = {step.id for step in before.path.steps}
    # Undo and Restore go to segments that have verdicts from before.
    new = any(step.id not in known and step.id not in changed for step in after.segments)
    was = verdicts_of(db, draft, after) if new else before.verdicts
    both = {**was, **changed}
    return {segment: verdict for segment, verdict in both.items() if verdict is not None}


def undoable(db: Session, draft: Draft) -> Revision | None:
    """The revision that Undo would undo."""
    return db.scalar(_LAST, {"draft": draft.id})


def carry_on(
    db: Session,
    *,
    draft: Draft,
    before: DraftState,
    above: Path,
    following: Sequence[PathSegment],
    replaced_depth: int,
    rewrite: bool,
    deleted: Spans | None = None,
    first: Spans | None = None,
) -> tuple[Path, dict[int, Verdict | None]]:
    """Move the draft to the end of `above`, then rewrite or copy what followed.

    rewrite: request a regeneration after `above`; no effect after the end of the output.
    deleted: what was deleted before a run's text; None keeps it where nothing follows.
    first: spans of the first copy where they differ from its source's.

    Without `rewrite`, the following segments are copied with their verdicts. A run that was not at
    its end continues after the last copy, and waits there if it was waiting. Text that it had begun
    but not cut into a segment is dropped: it continues another text. Returns the path as it is now
    and the verdicts of the copies.
    """
    leaf, anchor = before.path.leaf, above.leaf
    if rewrite and not anchor.ends_output:
        regenerations.request(
            db,
            draft=draft,
            anchor_id=anchor.id,
            displaced_id=leaf.id,
            displaced_depth=replaced_depth,
            offers=True,
            deleted=stored(deleted) if deleted else None,
        )
        return above, {}
    wanted = whole(following)
    if wanted and first is not None:
        wanted[0] = copy_of(following[0], first)
    copies = add_copies(db, sample_id=draft.sample_id, parent=anchor, copies=wanted)
    after = above.fork(*copies)
    last = after.leaf
    if before.run is not None and before.unfinished and not last.ends_output:
        near = is_near_the_end(anchor.depth, last.depth)
        at_end = before.deleted_at_end if deleted is None or copies else deleted
        regenerations.request(
            db,
            draft=draft,
            anchor_id=last.id,
            displaced_id=leaf.id,
            displaced_depth=leaf.depth,
            offers=before.run.undecided,
            ahead=None if near and before.ahead == 0 else before.ahead,
            deleted=stored(at_end) if at_end else None,
        )
    else:
        regenerations.supersede(db, draft_id=draft.id)
        draft.head_id, draft.regeneration_id = last.id, None
    return after, {
        copy.id: verdict
        for copy, source in zip(copies, following, strict=True)
        if (verdict := before.verdicts.get(source.id)) is not None
    }


def is_near_the_end(at: int, last: int) -> bool:
    """Whether the annotator will soon need the continuation of a waiting run.

    True from the last but one segment on: `at` is the annotator's segment, `last` the last.
    """
    return at >= last - 1
