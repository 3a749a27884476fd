"""An annotator's work on a sample: drafts, verdicts, corrections, regenerations, history."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.corrections import Kind, Verdict
from app.models.samples import Sample
from app.models.schema import Base, Row, text_enum

# The condition under which a correction is a pair, in partial indexes; see app/models/live.py.
LIVE = "retracted_at IS NULL AND superseded_by IS NULL AND rested_at IS NULL"


class RunState(StrEnum):
    """States of a regeneration: BEING_WRITTEN, WAITING for its annotator, or final."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


# A worker writes it, or the next free one will.
BEING_WRITTEN = (RunState.QUEUED, RunState.RUNNING)
# Its text may still go on: a draft has one such regeneration at most, and cannot be finished.
UNFINISHED = (*BEING_WRITTEN, RunState.WAITING)


class Action(StrEnum):
    """What a revision of a draft did."""

    ACCEPT = "accept"
    CORRECT = "correct"
    KEEP = "keep"
    INSERT = "insert"
    DELETE = "delete"
    SPLIT = "split"
    MERGE = "merge"
    REGENERATE = "regenerate"
    RESTORE = "restore"
    CHOOSE = "choose"
    UNDO = "undo"


class Draft(Row):
    """One annotator's work on one sample.

    The leaf of its current path is the leaf of its current regeneration if there is one, else
    head_id: so a worker never writes this row. version counts the annotator's own changes.
    """

    __tablename__ = "drafts"

    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    head_id: Mapped[int]
    regeneration_id: Mapped[int | None]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    sample: Mapped[Sample] = relationship(lazy="raise")

    __table_args__ = (
        UniqueConstraint("sample_id", "user_id"),
        UniqueConstraint("id", "sample_id"),
        ForeignKeyConstraint(["head_id", "sample_id"], ["segments.id", "segments.sample_id"]),
        ForeignKeyConstraint(
            ["regeneration_id", "id"],
            ["regenerations.id", "regenerations.draft_id"],
            use_alter=True,
        ),
    )


class DraftVerdict(Base):
    """Accepted or corrected, for a segment of a draft. No row: not reviewed."""

    __tablename__ = "verdicts"

    draft_id: Mapped[int] = mapped_column(
        ForeignKey("drafts.id", ondelete="CASCADE"), primary_key=True
    )
    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id"), primary_key=True)
    verdict: Mapped[Verdict] = mapped_column(text_enum(Verdict, "verdict"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Remark(Base):
    """What an annotator says about a segment beside its text: a note, another image."""

    __tablename__ = "remarks"

    draft_id: Mapped[int] = mapped_column(
        ForeignKey("drafts.id", ondelete="CASCADE"), primary_key=True
    )
    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id"), primary_key=True)
    note: Mapped[str] = mapped_column(server_default="")
    image_index: Mapped[int | None]


class UnsavedEdit(Base):
    """Text that an annotator typed for a segment and has not saved as a correction."""

    __tablename__ = "unsaved_edits"

    draft_id: Mapped[int] = mapped_column(
        ForeignKey("drafts.id", ondelete="CASCADE"), primary_key=True
    )
    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id"), primary_key=True)
    text: Mapped[str]
    # The browser's clock in ms: a late autosave never replaces a newer one.
    typed_at_ms: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Correction(Row):
    """Two siblings, chosen over rejected by an annotator: the preference pair itself.

    feed_position: its place in the feed of pairs, given when the feed first shows it (never by
    the annotator's transaction: ids are not handed out in commit order, places are).
    edited: characters deleted and inserted between the two (app/domain/distances.py).
    rested_at: since when the draft's text does not hold the chosen one; Undo or Restore ends it.
    policy_id: of the rejected segment, copied by a trigger so that pairs are counted by it.
    """

    __tablename__ = "corrections"

    draft_id: Mapped[int]
    sample_id: Mapped[int]
    annotator_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    parent_id: Mapped[int]
    chosen_id: Mapped[int]
    rejected_id: Mapped[int]
    kind: Mapped[Kind] = mapped_column(text_enum(Kind, "kind"))
    on_policy: Mapped[bool]
    edited: Mapped[int]
    policy_id: Mapped[int | None] = mapped_column(ForeignKey("policies.id"))
    superseded_by: Mapped[int | None] = mapped_column(ForeignKey("corrections.id"))
    retracted_at: Mapped[datetime | None]
    retract_reason: Mapped[str | None]
    rested_at: Mapped[datetime | None]
    feed_position: Mapped[int | None]

    __table_args__ = (
        ForeignKeyConstraint(["draft_id", "sample_id"], ["drafts.id", "drafts.sample_id"]),
        ForeignKeyConstraint(["parent_id", "sample_id"], ["segments.id", "segments.sample_id"]),
        ForeignKeyConstraint(["chosen_id", "parent_id"], ["segments.id", "segments.parent_id"]),
        ForeignKeyConstraint(["rejected_id", "parent_id"], ["segments.id", "segments.parent_id"]),
        CheckConstraint("chosen_id <> rejected_id", name="different"),
        CheckConstraint("superseded_by <> id", name="not_superseded_by_itself"),
        CheckConstraint("edited > 0", name="edited"),
        Index("ix_corrections_draft_id", "draft_id"),
        Index("ix_corrections_sample_id", "sample_id"),
        Index("ix_corrections_chosen_id", "chosen_id"),
        # Whether a newer one rejects the same segment in the same way.
        Index("ix_corrections_rejected_id", "rejected_id", "kind", "id"),
        # How many pairs reject what each policy wrote, read from this index alone.
        Index(
            "ix_corrections_policy_id",
            "policy_id",
            postgresql_where=sql(LIVE),
        ),
        # Partial: no foreign key can use it, so giving a place does not lock out key readers.
        Index(
            "uq_corrections_feed_position",
            "feed_position",
            unique=True,
            postgresql_where=sql("feed_position IS NOT NULL"),
        ),
        Index(
            "ix_corrections_not_in_feed",
            "id",
            postgresql_where=sql(f"feed_position IS NULL AND {LIVE}"),
        ),
        # What may have stopped being a pair since the feed showed it.
        Index(
            "ix_corrections_in_feed",
            "id",
            postgresql_where=sql(
                "feed_position IS NOT NULL AND "
                "(retracted_at IS NOT NULL OR superseded_by IS NOT NULL OR rested_at IS NOT NULL)"
            ),
        ),
    )


class Regeneration(Row):
    """A request to continue a draft after a segment: a row, a job and a log in one.

    number: 2 for a draft's first (run 1 is the imported output). attempt fences every write of a
    worker. leaf_id: the last finished segment, anchor_id while there is none. displaced_id: the
    leaf of the path that this run replaces, for Compare and Restore; what it replaces there are
    the segments deeper than displaced_depth. What it has finished is the path from anchor to leaf.

    wanted: so many segments of it are to stand before it waits for its annotator; None for all.
    candidates: so many alternatives of its first segment are written before anything else, for the
    annotator to choose from; candidates_of: the run whose candidates it offers again.

    deleted: the spans of what was deleted in front of it; its first segment keeps them.
    """

    __tablename__ = "regenerations"

    draft_id: Mapped[int]
    sample_id: Mapped[int]
    number: Mapped[int]
    anchor_id: Mapped[int]
    leaf_id: Mapped[int]
    displaced_id: Mapped[int]
    displaced_depth: Mapped[int]
    state: Mapped[RunState] = mapped_column(
        text_enum(RunState, "run_state"), server_default="queued"
    )
    wanted: Mapped[int | None]
    candidates: Mapped[int] = mapped_column(server_default="0")
    candidates_of: Mapped[int | None] = mapped_column(ForeignKey("regenerations.id"))
    deleted: Mapped[list[list[Any]] | None]
    # That of its jobs: less for each other text that its annotator has being written.
    priority: Mapped[int] = mapped_column(server_default="10")
    attempt: Mapped[int] = mapped_column(server_default="0")
    # Attempts since a person last asked for text.
    tries: Mapped[int] = mapped_column(server_default="0")
    # How often since then a worker died over it or its engine failed; not: was handed on.
    failures: Mapped[int] = mapped_column(server_default="0")
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    policy_id: Mapped[int | None] = mapped_column(ForeignKey("policies.id"))
    # Code points written so far; the tail of them, from `cut` on, is not a segment yet.
    written: Mapped[int] = mapped_column(server_default="0")
    cut: Mapped[int] = mapped_column(server_default="0")
    stop_reason: Mapped[str | None]
    error: Mapped[str | None]
    # Since when it waits for a worker, or waited for the one that holds it.
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    # When the present attempt began, and how long those before it took since a person asked.
    attempt_at: Mapped[datetime | None]
    spent_s: Mapped[float] = mapped_column(Double, server_default="0")
    first_text_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("id", "draft_id"),
        UniqueConstraint("draft_id", "number"),
        ForeignKeyConstraint(["draft_id", "sample_id"], ["drafts.id", "drafts.sample_id"]),
        ForeignKeyConstraint(["anchor_id", "sample_id"], ["segments.id", "segments.sample_id"]),
        ForeignKeyConstraint(["leaf_id", "sample_id"], ["segments.id", "segments.sample_id"]),
        ForeignKeyConstraint(["displaced_id", "sample_id"], ["segments.id", "segments.sample_id"]),
        CheckConstraint("cut BETWEEN 0 AND written", name="cut_within_written"),
        CheckConstraint(
            "state NOT IN ('queued', 'running', 'waiting') = (finished_at IS NOT NULL)",
            name="final_is_finished",
        ),
        CheckConstraint("candidates = 0 OR candidates BETWEEN 2 AND 9", name="candidates"),
        Index(
            "uq_regenerations_live",
            "draft_id",
            unique=True,
            postgresql_where=sql("state IN ('queued', 'running', 'waiting')"),
        ),
        Index(
            "ix_regenerations_lease",
            "lease_until",
            postgresql_where=sql("state = 'running'"),
        ),
    )

    @property
    def undecided(self) -> bool:
        """Its first segment is still to be chosen: its candidates are written or offered."""
        return self.candidates > 0 and self.leaf_id == self.anchor_id

    @property
    def offer_id(self) -> int:
        """The run that first wrote the candidates which this one offers."""
        return self.candidates_of or self.id


class Chunk(Base):
    """Text of a regeneration from code point `start` on, kept while it is being written."""

    __tablename__ = "chunks"

    regeneration_id: Mapped[int] = mapped_column(
        ForeignKey("regenerations.id", ondelete="CASCADE"), primary_key=True
    )
    start: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]

    __table_args__ = (CheckConstraint("text <> ''", name="not_empty"),)


class Revision(Base):
    """A step in the history of a draft: what was done, and what Undo needs to take it back."""

    __tablename__ = "revisions"

    draft_id: Mapped[int] = mapped_column(
        ForeignKey("drafts.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[Action] = mapped_column(text_enum(Action, "action"))
    segment_id: Mapped[int | None] = mapped_column(ForeignKey("segments.id"))
    head_id: Mapped[int] = mapped_column(ForeignKey("segments.id"))
    previous_head_id: Mapped[int] = mapped_column(ForeignKey("segments.id"))
    previous_regeneration_id: Mapped[int | None]
    # Verdicts as they were before, for the segments this step changed: {segment id: verdict|null}.
    previous_verdicts: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    correction_id: Mapped[int | None] = mapped_column(ForeignKey("corrections.id"))
    # How many corrections counted before this step and do not since, because their text has gone.
    rested: Mapped[int] = mapped_column(server_default="0")
    undone_by: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
