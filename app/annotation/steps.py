"""One change of a draft: its version, its verdicts, its line in the history.

Every verb of this package ends in `record`; nothing else writes a draft's head or version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import changes, regenerations
from app.annotation.path import Path, Step, add_copies, whole
from app.domain.corrections import Verdict
from app.models import Action, Draft, DraftVerdict, Regeneration, Revision, RunState, now, table_of
from app.refusals import Conflict, Forbidden

LIVE = (RunState.QUEUED, RunState.RUNNING)

# Statements are built once: to put one together costs SQLAlchemy more than to run it.
_VERDICTS = select(DraftVerdict.segment_id, DraftVerdict.verdict).where(
    DraftVerdict.draft_id == bindparam("draft")
)
_GIVEN = insert(table_of(DraftVerdict))
_SET_VERDICT = _GIVEN.on_conflict_do_update(
    index_elements=["draft_id", "segment_id"], set_={"verdict": _GIVEN.excluded.verdict}
)
_ADD_REVISION = insert(table_of(Revision))


class Stale(Conflict):
    """The draft has changed since the page that sends this was rendered."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A draft as a verb finds it: its path, its current run, its verdicts on the path."""

    path: Path
    run: Regeneration | None
    verdicts: Mapping[int, Verdict]

    @property
    def live(self) -> bool:
        """A regeneration is still writing below the leaf."""
        return self.run is not None and self.run.state in LIVE


def standing(db: Session, draft: Draft) -> Standing:
    """The path, the run and the verdicts of a draft."""
    run = db.get(Regeneration, draft.regeneration_id) if draft.regeneration_id else None
    path = Path.load(db, run.leaf_id if run else draft.head_id)
    return Standing(path, run, verdicts_of(db, draft, path))


def verdicts_of(db: Session, draft: Draft, path: Path) -> dict[int, Verdict]:
    """The draft's verdicts on the segments of `path`."""
    on_path = {step.id for step in path.segments}
    rows = db.execute(_VERDICTS, {"draft": draft.id})
    return {row.segment_id: row.verdict for row in rows if row.segment_id in on_path}


def begin(draft: Draft, base_version: int) -> None:
    """Raises Stale for an old base_version, Forbidden for a finished draft."""
    if draft.version != base_version:
        raise Stale("This text was changed in another window since you opened it.")
    if draft.finished_at is not None:
        raise Forbidden("This task is finished. Reopen it to change the text.")


def record(
    db: Session,
    *,
    draft: Draft,
    action: Action,
    before: Standing,
    verdicts: Mapping[int, Verdict | None],
    segment_id: int | None,
    correction_id: int | None = None,
) -> int:
    """Write the verdicts (None removes one), the history and the next version; wake listeners.

    The verb has already moved draft.head_id and draft.regeneration_id where it moves the path.
    Returns the new version.
    """
    was = {segment: before.verdicts.get(segment) for segment in verdicts}
    set_verdicts(db, draft=draft, verdicts=verdicts)
    draft.version += 1
    draft.updated_at = now()
    db.flush()
    db.execute(
        _ADD_REVISION,
        {
            "draft_id": draft.id,
            "version": draft.version,
            "action": action,
            "segment_id": segment_id,
            "head_id": draft.head_id,
            "previous_head_id": before.path.leaf.id,
            "previous_regeneration_id": before.run.id if before.run else None,
            "previous_verdicts": {str(segment): verdict for segment, verdict in was.items()},
            "correction_id": correction_id,
        },
    )
    changes.notify(db, f"draft:{draft.id}")
    return draft.version


def set_verdicts(db: Session, *, draft: Draft, verdicts: Mapping[int, Verdict | None]) -> None:
    """Write each verdict; None removes it."""
    given = [
        {"draft_id": draft.id, "segment_id": segment, "verdict": verdict}
        for segment, verdict in verdicts.items()
        if verdict is not None
    ]
    gone = [segment for segment, verdict in verdicts.items() if verdict is None]
    if given:
        db.execute(_SET_VERDICT, given)
    if gone:
        db.execute(
            delete(DraftVerdict).where(
                DraftVerdict.draft_id == draft.id, DraftVerdict.segment_id.in_(gone)
            )
        )


def carry_on(
    db: Session,
    *,
    draft: Draft,
    before: Standing,
    anchor: Step,
    following: Sequence[Step],
    replaced_depth: int,
    rewrite: bool,
) -> dict[int, Verdict | None]:
    """Move the draft below `anchor`, and let what followed follow: rewritten, or copied.

    rewrite: a regeneration continues after the anchor. Otherwise the following segments are
    copied below it with their verdicts; a run that was still writing them goes on after the
    last copy. An output that ended with the anchor has nothing to rewrite.
    Returns the verdicts of the copies.
    """
    leaf = before.path.leaf
    if rewrite and not anchor.ends_output:
        regenerations.request(
            db,
            draft=draft,
            anchor_id=anchor.id,
            displaced_id=leaf.id,
            displaced_depth=replaced_depth,
        )
        return {}
    copies = add_copies(db, sample_id=draft.sample_id, parent=anchor, copies=whole(following))
    last = copies[-1] if copies else anchor
    if before.live and not last.ends_output:
        regenerations.request(
            db, draft=draft, anchor_id=last.id, displaced_id=leaf.id, displaced_depth=leaf.depth
        )
    else:
        regenerations.supersede(db, draft_id=draft.id)
        draft.head_id, draft.regeneration_id = last.id, None
    return {
        copy.id: verdict
        for copy, source in zip(copies, following, strict=True)
        if (verdict := before.verdicts.get(source.id)) is not None
    }
