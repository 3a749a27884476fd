"""Let policies be adapters that are activated, and workers say what they write with."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "policies", sa.Column("served_name", sa.Text(), server_default="", nullable=False)
    )
    op.add_column(
        "policies", sa.Column("adapter_hash", sa.Text(), server_default="", nullable=False)
    )
    op.add_column(
        "policies",
        sa.Column("active", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("policies", sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("policies", sa.Column("added_by", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_policies_added_by"), "policies", "users", ["added_by"], ["id"])
    op.create_check_constraint(
        op.f("ck_policies_adapter_hash_form"),
        "policies",
        "adapter_hash = '' OR adapter_hash ~ '^[0-9a-f]{64}$'",
    )
    op.create_check_constraint(
        op.f("ck_policies_added_adapter_is_whole"),
        "policies",
        "adapter_hash = '' OR (adapter <> '' AND base_model <> '' AND served_name <> '')",
    )
    op.create_check_constraint(
        op.f("ck_policies_active_is_an_adapter"),
        "policies",
        "NOT active OR (adapter_hash <> '' AND activated_at IS NOT NULL)",
    )
    op.create_check_constraint(op.f("ck_policies_round"), "policies", "round >= 0")
    op.create_index(
        "uq_policies_active",
        "policies",
        ["base_model"],
        unique=True,
        postgresql_where=sa.text("active"),
    )
    op.create_index(
        "uq_policies_served_name",
        "policies",
        ["served_name"],
        unique=True,
        postgresql_where=sa.text("adapter_hash <> ''"),
    )
    op.create_index(
        "ix_segments_policy_id",
        "segments",
        ["policy_id", "id"],
        postgresql_include=["copied_from"],
        postgresql_where=sa.text("policy_id IS NOT NULL"),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("base_model", sa.Text(), server_default="", nullable=False),
        sa.Column("served_name", sa.Text(), server_default="", nullable=False),
        sa.Column("policy_id", sa.BigInteger(), nullable=True),
        sa.Column("refused_id", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "refused_id IS NULL OR problem IS NOT NULL", name=op.f("ck_workers_refusal_says_why")
        ),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.id"], name=op.f("fk_workers_policy_id")),
        sa.ForeignKeyConstraint(
            ["refused_id"], ["policies.id"], name=op.f("fk_workers_refused_id")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )


def downgrade() -> None:
    op.drop_table("workers")
    op.drop_index("ix_segments_policy_id", "segments")
    op.drop_index("uq_policies_served_name", "policies")
    op.drop_index("uq_policies_active", "policies")
    op.drop_constraint(op.f("fk_policies_added_by"), "policies")
    for name in ("round", "active_is_an_adapter", "added_adapter_is_whole", "adapter_hash_form"):
        op.drop_constraint(op.f(f"ck_policies_{name}"), "policies")
    for name in ("added_by", "activated_at", "active", "adapter_hash", "served_name"):
        op.drop_column("policies", name)
