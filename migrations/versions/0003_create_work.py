"""Create drafts, corrections, regenerations and their history."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drafts",
        sa.Column("sample_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("head_id", sa.BigInteger(), nullable=False),
        sa.Column("regeneration_id", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["head_id", "sample_id"],
            ["segments.id", "segments.sample_id"],
            name=op.f("fk_drafts_head_id_sample_id"),
        ),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.id"], name=op.f("fk_drafts_sample_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_drafts_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drafts")),
        sa.UniqueConstraint("id", "sample_id", name=op.f("uq_drafts_id_sample_id")),
        sa.UniqueConstraint("sample_id", "user_id", name=op.f("uq_drafts_sample_id_user_id")),
    )
    op.create_index(op.f("ix_drafts_user_id"), "drafts", ["user_id"], unique=False)
    op.create_table(
        "regenerations",
        sa.Column("draft_id", sa.BigInteger(), nullable=False),
        sa.Column("sample_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("anchor_id", sa.BigInteger(), nullable=False),
        sa.Column("leaf_id", sa.BigInteger(), nullable=False),
        sa.Column("displaced_id", sa.BigInteger(), nullable=False),
        sa.Column("displaced_depth", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "done",
                "failed",
                "cancelled",
                "superseded",
                name="run_state",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default="queued",
            nullable=False,
        ),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settings", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("policy_id", sa.BigInteger(), nullable=True),
        sa.Column("written", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cut", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_text_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "state NOT IN ('queued', 'running') = (finished_at IS NOT NULL)",
            name=op.f("ck_regenerations_final_is_finished"),
        ),
        sa.CheckConstraint(
            "cut BETWEEN 0 AND written", name=op.f("ck_regenerations_cut_within_written")
        ),
        sa.ForeignKeyConstraint(
            ["anchor_id", "sample_id"],
            ["segments.id", "segments.sample_id"],
            name=op.f("fk_regenerations_anchor_id_sample_id"),
        ),
        sa.ForeignKeyConstraint(
            ["displaced_id", "sample_id"],
            ["segments.id", "segments.sample_id"],
            name=op.f("fk_regenerations_displaced_id_sample_id"),
        ),
        sa.ForeignKeyConstraint(
            ["draft_id", "sample_id"],
            ["drafts.id", "drafts.sample_id"],
            name=op.f("fk_regenerations_draft_id_sample_id"),
        ),
        sa.ForeignKeyConstraint(
            ["leaf_id", "sample_id"],
            ["segments.id", "segments.sample_id"],
            name=op.f("fk_regenerations_leaf_id_sample_id"),
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.id"], name=op.f("fk_regenerations_policy_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_regenerations")),
        sa.UniqueConstraint("draft_id", "number", name=op.f("uq_regenerations_draft_id_number")),
        sa.UniqueConstraint("id", "draft_id", name=op.f("uq_regenerations_id_draft_id")),
    )
    op.create_index(
        "ix_regenerations_lease",
        "regenerations",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "uq_regenerations_live",
        "regenerations",
        ["draft_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_table(
        "verdicts",
        sa.Column("draft_id", sa.BigInteger(), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "verdict",
            sa.Enum(
                "accepted",
                "corrected",
                name="verdict",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["draft_id"], ["drafts.id"], name=op.f("fk_verdicts_draft_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name=op.f("fk_verdicts_segment_id")
        ),
        sa.PrimaryKeyConstraint("draft_id", "segment_id", name=op.f("pk_verdicts")),
    )
    op.create_table(
        "remarks",
        sa.Column("draft_id", sa.BigInteger(), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("image_index", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["draft_id"], ["drafts.id"], name=op.f("fk_remarks_draft_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name=op.f("fk_remarks_segment_id")
        ),
        sa.PrimaryKeyConstraint("draft_id", "segment_id", name=op.f("pk_remarks")),
    )
    op.create_table(
        "unsaved_edits",
        sa.Column("draft_id", sa.BigInteger(), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("typed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["draft_id"], ["drafts.id"], name=op.f("fk_unsaved_edits_draft_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name=op.f("fk_unsaved_edits_segment_id")
        ),
        sa.PrimaryKeyConstraint("draft_id", "segment_id", name=op.f("pk_unsaved_edits")),
    )
    op.create_table(
        "corrections",
        sa.Column("draft_id", sa.BigInteger(), nullable=False),
        sa.Column("sample_id", sa.BigInteger(), nullable=False),
        sa.Column("annotator_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=False),
        sa.Column("chosen_id", sa.BigInteger(), nullable=False),
        sa.Column("rejected_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "rewrite",
                "insert",
                "delete",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("on_policy", sa.Boolean(), nullable=False),
        sa.Column("superseded_by", sa.BigInteger(), nullable=True),
        sa.Column("retracted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retract_reason", sa.Text(), nullable=True),
        sa.Column("feed_position", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("chosen_id <> rejected_id", name=op.f("ck_corrections_different")),
        sa.CheckConstraint(
            "superseded_by <> id", name=op.f("ck_corrections_not_superseded_by_itself")
        ),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["users.id"], name=op.f("fk_corrections_annotator_id")
        ),
        sa.ForeignKeyConstraint(
            ["chosen_id", "parent_id"],
            ["segments.id", "segments.parent_id"],
            name=op.f("fk_corrections_chosen_id_parent_id"),
        ),
        sa.ForeignKeyConstraint(
            ["draft_id", "sample_id"],
            ["drafts.id", "drafts.sample_id"],
            name=op.f("fk_corrections_draft_id_sample_id"),
        ),
        sa.ForeignKeyConstraint(
            ["parent_id", "sample_id"],
            ["segments.id", "segments.sample_id"],
            name=op.f("fk_corrections_parent_id_sample_id"),
        ),
        sa.ForeignKeyConstraint(
            ["rejected_id", "parent_id"],
            ["segments.id", "segments.parent_id"],
            name=op.f("fk_corrections_rejected_id_parent_id"),
        ),
        sa.ForeignKeyConstraint(
            ["superseded_by"], ["corrections.id"], name=op.f("fk_corrections_superseded_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corrections")),
    )
    op.create_index("ix_corrections_chosen_id", "corrections", ["chosen_id"], unique=False)
    op.create_index("ix_corrections_draft_id", "corrections", ["draft_id"], unique=False)
    # Places in the feed of pairs: never given twice, also when the last one was given back.
    op.execute(sa.schema.CreateSequence(sa.Sequence("feed_positions")))
    op.create_index(
        "ix_corrections_in_feed",
        "corrections",
        ["id"],
        unique=False,
        postgresql_where=sa.text(
            "feed_position IS NOT NULL AND "
            "(retracted_at IS NOT NULL OR superseded_by IS NOT NULL OR kind = 'delete')"
        ),
    )
    op.create_index(
        "ix_corrections_not_in_feed",
        "corrections",
        ["id"],
        unique=False,
        postgresql_where=sa.text(
            "feed_position IS NULL AND retracted_at IS NULL AND superseded_by IS NULL"
        ),
    )
    op.create_index("ix_corrections_sample_id", "corrections", ["sample_id"], unique=False)
    op.create_index(
        "uq_corrections_feed_position",
        "corrections",
        ["feed_position"],
        unique=True,
        postgresql_where=sa.text("feed_position IS NOT NULL"),
    )
    op.create_table(
        "chunks",
        sa.Column("regeneration_id", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.CheckConstraint("text <> ''", name=op.f("ck_chunks_not_empty")),
        sa.ForeignKeyConstraint(
            ["regeneration_id"],
            ["regenerations.id"],
            name=op.f("fk_chunks_regeneration_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("regeneration_id", "start", name=op.f("pk_chunks")),
    )
    op.create_table(
        "revisions",
        sa.Column("draft_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "action",
            sa.Enum(
                "accept",
                "correct",
                "keep",
                "insert",
                "delete",
                "split",
                "merge",
                "regenerate",
                "restore",
                "undo",
                name="action",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("segment_id", sa.BigInteger(), nullable=True),
        sa.Column("head_id", sa.BigInteger(), nullable=False),
        sa.Column("previous_head_id", sa.BigInteger(), nullable=False),
        sa.Column("previous_regeneration_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "previous_verdicts", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("correction_id", sa.BigInteger(), nullable=True),
        sa.Column("undone_by", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["correction_id"], ["corrections.id"], name=op.f("fk_revisions_correction_id")
        ),
        sa.ForeignKeyConstraint(
            ["draft_id"], ["drafts.id"], name=op.f("fk_revisions_draft_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["head_id"], ["segments.id"], name=op.f("fk_revisions_head_id")),
        sa.ForeignKeyConstraint(
            ["previous_head_id"], ["segments.id"], name=op.f("fk_revisions_previous_head_id")
        ),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name=op.f("fk_revisions_segment_id")
        ),
        sa.PrimaryKeyConstraint("draft_id", "version", name=op.f("pk_revisions")),
    )
    op.create_foreign_key(
        "fk_drafts_regeneration_id_id",
        "drafts",
        "regenerations",
        ["regeneration_id", "id"],
        ["id", "draft_id"],
    )


def downgrade() -> None:
    op.drop_constraint("fk_drafts_regeneration_id_id", "drafts", type_="foreignkey")
    op.drop_table("revisions")
    op.drop_table("chunks")
    op.drop_table("corrections")
    op.execute(sa.schema.DropSequence(sa.Sequence("feed_positions")))
    op.drop_table("unsaved_edits")
    op.drop_table("remarks")
    op.drop_table("verdicts")
    op.drop_table("regenerations")
    op.drop_table("drafts")
