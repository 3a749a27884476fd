"""Keep with each correction how many characters it changed, to filter pairs by it."""

import sqlalchemy as sa
from alembic import op
from rapidfuzz.distance import Indel

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None

_BATCH = 1000
_TEXTS = sa.text(
    """
    SELECT c.id, rejected.text, chosen.text
    FROM corrections c
    JOIN segments rejected ON rejected.id = c.rejected_id
    JOIN segments chosen ON chosen.id = c.chosen_id
    WHERE c.id > :after ORDER BY c.id LIMIT :batch
    """
)
_MEASURED = sa.text(
    """
    UPDATE corrections SET edited = new.edited
    FROM unnest(CAST(:ids AS bigint[]), CAST(:edited AS bigint[])) AS new (id, edited)
    WHERE corrections.id = new.id
    """
)


def upgrade() -> None:
    op.add_column("corrections", sa.Column("edited", sa.BigInteger(), nullable=True))
    connection = op.get_bind()
    after = 0
    while rows := connection.execute(_TEXTS, {"after": after, "batch": _BATCH}).all():
        connection.execute(
            _MEASURED,
            {
                "ids": [row[0] for row in rows],
                "edited": [Indel.distance(row[1], row[2]) for row in rows],
            },
        )
        after = rows[-1][0]
    op.alter_column("corrections", "edited", nullable=False)
    op.create_check_constraint(op.f("ck_corrections_edited"), "corrections", "edited > 0")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_corrections_edited"), "corrections", type_="check")
    op.drop_column("corrections", "edited")
