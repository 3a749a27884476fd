"""Create imports: files that were sent, read and written by a worker."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_STATES = ("waiting", "running", "done", "failed")


def _time(name: str, **options: object) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **options)


def _count(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def _json(name: str, default: str) -> sa.Column[object]:
    return sa.Column(
        name, postgresql.JSONB(), server_default=sa.text(f"'{default}'"), nullable=False
    )


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _time("created_at", server_default=sa.func.now(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.BigInteger()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("upload", sa.Text()),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("instruction", sa.Text(), nullable=False),
        _json("columns", "{}"),
        sa.Column("state", sa.String(20), server_default="waiting", nullable=False),
        _count("samples"),
        _count("images"),
        sa.Column("fraction", sa.Double(), server_default="0", nullable=False),
        sa.Column("seconds_left", sa.Double()),
        _count("attempt"),
        _count("failures"),
        sa.Column("worker", sa.Text()),
        _time("lease_until"),
        _time("started_at"),
        _time("finished_at"),
        sa.Column("report", postgresql.JSONB()),
        sa.Column("error", sa.Text()),
        _count("error_count"),
        _json("errors", "[]"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_imports_project_id")
        ),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_imports_created_by")),
        sa.CheckConstraint(
            f"state IN ({', '.join(repr(state) for state in _STATES)})",
            name=op.f("ck_imports_import_state"),
        ),
        sa.CheckConstraint("fraction BETWEEN 0 AND 1", name=op.f("ck_imports_fraction_is_a_share")),
        sa.CheckConstraint(
            "(state IN ('waiting', 'running')) = (upload IS NOT NULL)",
            name=op.f("ck_imports_upload_until_the_end"),
        ),
        sa.CheckConstraint(
            "(state IN ('done', 'failed')) = (finished_at IS NOT NULL)",
            name=op.f("ck_imports_final_is_finished"),
        ),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_imports_run_by_one")
        ),
        sa.CheckConstraint(
            "(state = 'done') = (report IS NOT NULL)", name=op.f("ck_imports_done_reports")
        ),
        sa.CheckConstraint(
            "(state = 'failed') = (error IS NOT NULL)", name=op.f("ck_imports_failed_says_why")
        ),
    )
    op.create_index("ix_imports_project_id", "imports", ["project_id"])
    op.create_index(
        "uq_imports_running",
        "imports",
        ["project_id"],
        unique=True,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "ix_imports_unfinished",
        "imports",
        ["lease_until"],
        postgresql_where=sa.text("state IN ('waiting', 'running')"),
    )


def downgrade() -> None:
    op.drop_table("imports")
