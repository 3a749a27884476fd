"""Store how sure the model was of a segment and of its weakest words."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segments", sa.Column("certainty", sa.Double(), nullable=True))
    op.add_column("segments", sa.Column("weak_words", postgresql.JSONB(), nullable=True))
    op.create_check_constraint(
        op.f("ck_segments_certainty_is_a_logarithm"), "segments", "certainty <= 0"
    )


def downgrade() -> None:
    op.drop_column("segments", "weak_words")
    op.drop_column("segments", "certainty")
