"""Snapshots: immutable, named exports of a project's pairs."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from app.models.schema import Row, text_enum


class SnapshotState(StrEnum):
    """States of a snapshot; ready and failed are final, and a ready one never changes again."""

    QUEUED = "queued"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class Snapshot(Row):
    """What was asked for, how far it is, and what came of it.

    filter, gate, split: as their domain types write themselves. stage, done, total: what the
    builder is at. attempt fences every write of a builder; failures counts builders that died.
    counts, content_hash, archive_sha256, size, manifest: set once, when it is ready.
    """

    __tablename__ = "snapshots"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    format: Mapped[str]
    template: Mapped[str]
    filter: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    gate: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    seed: Mapped[int] = mapped_column(server_default="0")
    split: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    state: Mapped[SnapshotState] = mapped_column(
        text_enum(SnapshotState, "snapshot_state"), server_default="queued"
    )
    stage: Mapped[str] = mapped_column(server_default="")
    done: Mapped[int] = mapped_column(server_default="0")
    total: Mapped[int] = mapped_column(server_default="0")
    attempt: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    error: Mapped[str | None]
    finished_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any] | None]
    content_hash: Mapped[str | None]
    archive_sha256: Mapped[str | None]
    size: Mapped[int | None]
    manifest: Mapped[dict[str, Any] | None]

    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        CheckConstraint("name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'", name="name_form"),
        CheckConstraint("done BETWEEN 0 AND total", name="done_within_total"),
        CheckConstraint(
            "state NOT IN ('queued', 'building') = (finished_at IS NOT NULL)",
            name="final_is_finished",
        ),
        CheckConstraint("(state = 'building') = (lease_until IS NOT NULL)", name="built_by_one"),
        CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name="failed_says_why"),
        CheckConstraint(
            "num_nonnulls(counts, content_hash, archive_sha256, size, manifest)"
            " = CASE state WHEN 'ready' THEN 5 ELSE 0 END",
            name="ready_is_whole",
        ),
        CheckConstraint("content_hash ~ '^[0-9a-f]{64}$'", name="content_hash_form"),
        Index(
            "ix_snapshots_unfinished",
            "lease_until",
            postgresql_where=sql("state IN ('queued', 'building')"),
        ),
    )
