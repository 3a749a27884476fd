"""Add what a model reads around an instruction: a system message, earlier turns, image places."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("samples", sa.Column("system", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "samples",
        sa.Column(
            "turns",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
    )
    op.add_column(
        "samples",
        sa.Column(
            "image_places",
            postgresql.ARRAY(sa.BigInteger()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
    )


def downgrade() -> None:
    for name in ("image_places", "turns", "system"):
        op.drop_column("samples", name)
