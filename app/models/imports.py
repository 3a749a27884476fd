"""Imports: files that an admin sent, read and written by a worker."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from app.models.schema import Row, text_enum


class ImportState(StrEnum):
    """States of an import; done and failed are final."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Import(Row):
    """A file on its way into a project: who sent it, how far it is, and what came of it.

    source: what the user calls the file. upload: the random name under which its bytes are kept;
    None once the import has ended. policy, instruction, columns: as the user chose them.
    samples, images: taken in so far. fraction: of the file, 0 to 1. seconds_left: as the time so
    far lets expect. attempt fences every write of a process; failures counts processes that died.
    report: what a finished import did. error: why an import failed, as a sentence; errors: what is
    wrong in the file, each with its place; error_count: of all errors, also of those not listed.
    """

    __tablename__ = "imports"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    source: Mapped[str]
    upload: Mapped[str | None]
    policy: Mapped[str]
    instruction: Mapped[str]
    columns: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    state: Mapped[ImportState] = mapped_column(
        text_enum(ImportState, "import_state"), server_default="waiting"
    )
    samples: Mapped[int] = mapped_column(server_default="0")
    images: Mapped[int] = mapped_column(server_default="0")
    fraction: Mapped[float] = mapped_column(Double, server_default="0")
    seconds_left: Mapped[float | None] = mapped_column(Double)
    attempt: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    report: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    error_count: Mapped[int] = mapped_column(server_default="0")
    errors: Mapped[list[dict[str, Any]]] = mapped_column(server_default=sql("'[]'"))

    __table_args__ = (
        CheckConstraint("fraction BETWEEN 0 AND 1", name="fraction_is_a_share"),
        CheckConstraint(
            "(state IN ('waiting', 'running')) = (upload IS NOT NULL)", name="upload_until_the_end"
        ),
        CheckConstraint(
            "(state IN ('done', 'failed')) = (finished_at IS NOT NULL)", name="final_is_finished"
        ),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="run_by_one"),
        CheckConstraint("(state = 'done') = (report IS NOT NULL)", name="done_reports"),
        CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name="failed_says_why"),
        Index("ix_imports_project_id", "project_id"),
        # Two imports into one project wait for each other.
        Index(
            "uq_imports_running",
            "project_id",
            unique=True,
            postgresql_where=sql("state = 'running'"),
        ),
        Index(
            "ix_imports_unfinished",
            "lease_until",
            postgresql_where=sql("state IN ('waiting', 'running')"),
        ),
    )
