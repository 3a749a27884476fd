"""Create snapshots: immutable, named exports of pairs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_STATES = ("queued", "building", "ready", "failed")


def _time(name: str, **options: object) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **options)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False)


def _count(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def upgrade() -> None:
    op.create_table(
        "snapshots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _time("created_at", server_default=sa.func.now(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        _json("filter"),
        _json("gate"),
        _count("seed"),
        _json("split"),
        sa.Column("created_by", sa.BigInteger()),
        sa.Column("state", sa.String(20), server_default="queued", nullable=False),
        sa.Column("stage", sa.Text(), server_default="", nullable=False),
        _count("done"),
        _count("total"),
        _count("attempt"),
        _count("failures"),
        sa.Column("worker", sa.Text()),
        _time("lease_until"),
        sa.Column("error", sa.Text()),
        _time("finished_at"),
        sa.Column("counts", postgresql.JSONB()),
        sa.Column("content_hash", sa.Text()),
        sa.Column("archive_sha256", sa.Text()),
        sa.Column("size", sa.BigInteger()),
        sa.Column("manifest", postgresql.JSONB()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_snapshots_project_id")
        ),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_snapshots_created_by")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_snapshots_project_id_name")),
        sa.CheckConstraint(
            "name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'", name=op.f("ck_snapshots_name_form")
        ),
        sa.CheckConstraint(
            f"state IN ({', '.join(repr(state) for state in _STATES)})",
            name=op.f("ck_snapshots_snapshot_state"),
        ),
        sa.CheckConstraint("done BETWEEN 0 AND total", name=op.f("ck_snapshots_done_within_total")),
        sa.CheckConstraint(
            "state NOT IN ('queued', 'building') = (finished_at IS NOT NULL)",
            name=op.f("ck_snapshots_final_is_finished"),
        ),
        sa.CheckConstraint(
            "(state = 'building') = (lease_until IS NOT NULL)",
            name=op.f("ck_snapshots_built_by_one"),
        ),
        sa.CheckConstraint(
            "(state = 'failed') = (error IS NOT NULL)", name=op.f("ck_snapshots_failed_says_why")
        ),
        sa.CheckConstraint(
            "num_nonnulls(counts, content_hash, archive_sha256, size, manifest)"
            " = CASE state WHEN 'ready' THEN 5 ELSE 0 END",
            name=op.f("ck_snapshots_ready_is_whole"),
        ),
        sa.CheckConstraint(
            "content_hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_snapshots_content_hash_form")
        ),
    )
    op.create_index(
        "ix_snapshots_unfinished",
        "snapshots",
        ["lease_until"],
        postgresql_where=sa.text("state IN ('queued', 'building')"),
    )
    op.execute(
        """
        CREATE FUNCTION refuse_change_of_ready() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.state = 'ready' OR (NEW.project_id, NEW.name) <> (OLD.project_id, OLD.name) THEN
                RAISE EXCEPTION 'a snapshot that is ready never changes, and none is renamed'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$;

        CREATE TRIGGER snapshots_are_immutable BEFORE UPDATE ON snapshots
            FOR EACH ROW EXECUTE FUNCTION refuse_change_of_ready();
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER snapshots_are_immutable ON snapshots")
    op.execute("DROP FUNCTION refuse_change_of_ready()")
    op.drop_table("snapshots")
