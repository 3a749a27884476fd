"""Create projects, images, samples and the segment tree."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("guidelines", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "rule",
            sa.Enum(
                "slides",
                "headings",
                "paragraphs",
                "sentences",
                name="rule",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("rule_words", sa.BigInteger(), server_default="120", nullable=False),
        sa.Column("annotators_per_sample", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("generation", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'", name=op.f("ck_projects_name_form")
        ),
        sa.CheckConstraint(
            "annotators_per_sample BETWEEN 1 AND 100",
            name=op.f("ck_projects_annotators_per_sample"),
        ),
        sa.CheckConstraint("rule_words BETWEEN 10 AND 2000", name=op.f("ck_projects_rule_words")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "memberships",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_memberships_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_memberships_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_memberships")),
    )
    op.create_index(op.f("ix_memberships_user_id"), "memberships", ["user_id"], unique=False)
    op.create_table(
        "images",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("width", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_images_sha256_form")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_images")),
    )
    op.create_table(
        "policies",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("base_model", sa.Text(), server_default="", nullable=False),
        sa.Column("revision", sa.Text(), server_default="", nullable=False),
        sa.Column("adapter", sa.Text(), server_default="", nullable=False),
        sa.Column("template_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("round", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
        sa.UniqueConstraint("name", name=op.f("uq_policies_name")),
    )
    op.create_table(
        "samples",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("instruction", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("target_words", sa.BigInteger(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("head_id", sa.BigInteger(), nullable=True),
        sa.Column("taken", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_samples_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_samples")),
        sa.UniqueConstraint(
            "project_id", "source_id", name=op.f("uq_samples_project_id_source_id")
        ),
    )
    op.create_index("ix_samples_open", "samples", ["project_id", "taken", "id"], unique=False)
    op.create_table(
        "segments",
        sa.Column("sample_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("depth", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column(
            "origin",
            sa.Enum(
                "root",
                "model",
                "human",
                name="origin",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("ends_output", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("image_index", sa.BigInteger(), nullable=True),
        sa.Column("copied_from", sa.BigInteger(), nullable=True),
        sa.Column("policy_id", sa.BigInteger(), nullable=True),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("regeneration_id", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(origin = 'human') = (author_id IS NOT NULL) OR copied_from IS NOT NULL",
            name=op.f("ck_segments_human_has_author"),
        ),
        sa.CheckConstraint("(origin = 'root') = (depth = 0)", name=op.f("ck_segments_root_depth")),
        sa.CheckConstraint(
            "(origin = 'root') = (parent_id IS NULL)", name=op.f("ck_segments_root_has_no_parent")
        ),
        sa.CheckConstraint(
            "(origin = 'root') = (text = '')", name=op.f("ck_segments_only_the_root_is_empty")
        ),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name=op.f("fk_segments_author_id")),
        sa.ForeignKeyConstraint(
            ["copied_from", "sample_id"],
            ["segments.id", "segments.sample_id"],
            name=op.f("fk_segments_copied_from_sample_id"),
        ),
        sa.ForeignKeyConstraint(
            ["parent_id", "sample_id"],
            ["segments.id", "segments.sample_id"],
            name=op.f("fk_segments_parent_id_sample_id"),
        ),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.id"], name=op.f("fk_segments_policy_id")),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.id"], name=op.f("fk_segments_sample_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint("id", "parent_id", name=op.f("uq_segments_id_parent_id")),
        sa.UniqueConstraint("id", "sample_id", name=op.f("uq_segments_id_sample_id")),
    )
    op.create_index("ix_segments_parent_id", "segments", ["parent_id"], unique=False)
    op.create_index("ix_segments_regeneration_id", "segments", ["regeneration_id"], unique=False)
    op.create_index(
        "uq_segments_root",
        "segments",
        ["sample_id"],
        unique=True,
        postgresql_where=sa.text("parent_id IS NULL"),
    )
    op.create_table(
        "sample_images",
        sa.Column("sample_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["samples.id"], name=op.f("fk_sample_images_sample_id")
        ),
        sa.ForeignKeyConstraint(
            ["sha256"], ["images.sha256"], name=op.f("fk_sample_images_sha256")
        ),
        sa.PrimaryKeyConstraint("sample_id", "position", name=op.f("pk_sample_images")),
    )
    op.create_index(op.f("ix_sample_images_sha256"), "sample_images", ["sha256"], unique=False)
    op.create_foreign_key(
        "fk_samples_head_id_id", "samples", "segments", ["head_id", "id"], ["id", "sample_id"]
    )


def downgrade() -> None:
    op.drop_constraint("fk_samples_head_id_id", "samples", type_="foreignkey")
    op.drop_table("sample_images")
    op.drop_table("segments")
    op.drop_table("samples")
    op.drop_table("policies")
    op.drop_table("images")
    op.drop_table("memberships")
    op.drop_table("projects")
