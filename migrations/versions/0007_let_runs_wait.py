"""Let a regeneration wait for its annotator: look-ahead, candidates, and how long it has taken."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_STATES = ("queued", "running", "done", "failed", "cancelled", "superseded")
_ACTIONS = (
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
)
_KINDS = ("rewrite", "insert", "delete")


def upgrade() -> None:
    for column in (
        sa.Column("wanted", sa.BigInteger(), nullable=True),
        sa.Column("candidates", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("candidates_of", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.BigInteger(), server_default="10", nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "queued_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("spent_s", sa.Double(), server_default="0", nullable=False),
    ):
        op.add_column("regenerations", column)
    op.create_foreign_key(
        op.f("fk_regenerations_candidates_of"),
        "regenerations",
        "regenerations",
        ["candidates_of"],
        ["id"],
    )
    op.create_check_constraint(
        op.f("ck_regenerations_candidates"),
        "regenerations",
        "candidates = 0 OR candidates BETWEEN 2 AND 9",
    )
    op.add_column("segments", sa.Column("candidate", sa.BigInteger(), nullable=True))
    op.create_index(
        "uq_segments_candidate",
        "segments",
        ["regeneration_id", "candidate"],
        unique=True,
        postgresql_where=sa.text("candidate IS NOT NULL"),
    )
    _allow("regenerations", "run_state", "state", (*_STATES, "waiting"))
    _unfinished("'queued', 'running', 'waiting'")
    _allow("corrections", "kind", "kind", (*_KINDS, "choice"))
    _allow("revisions", "action", "action", (*_ACTIONS, "choose"))


def downgrade() -> None:
    """What waits is stopped; choices, which the code of before does not know, are lost."""
    op.execute(
        """
        UPDATE regenerations SET state = 'cancelled', finished_at = clock_timestamp()
        WHERE state = 'waiting';
        UPDATE revisions SET action = 'regenerate' WHERE action = 'choose';
        ALTER TABLE corrections DISABLE TRIGGER corrections_are_kept;
        DELETE FROM corrections WHERE kind = 'choice';
        ALTER TABLE corrections ENABLE TRIGGER corrections_are_kept;
        """
    )
    _allow("revisions", "action", "action", _ACTIONS)
    _allow("corrections", "kind", "kind", _KINDS)
    _unfinished("'queued', 'running'")
    _allow("regenerations", "run_state", "state", _STATES)
    op.drop_index("uq_segments_candidate", table_name="segments")
    op.drop_column("segments", "candidate")
    op.drop_constraint(op.f("ck_regenerations_candidates"), "regenerations")
    op.drop_constraint(op.f("fk_regenerations_candidates_of"), "regenerations")
    for name in (
        "spent_s",
        "attempt_at",
        "queued_at",
        "tries",
        "priority",
        "candidates_of",
        "candidates",
        "wanted",
    ):
        op.drop_column("regenerations", name)


def _allow(table: str, name: str, column: str, values: tuple[str, ...]) -> None:
    """Give a text enum these values."""
    constraint = op.f(f"ck_{table}_{name}")
    op.drop_constraint(constraint, table)
    listed = ", ".join(f"'{value}'" for value in values)
    op.create_check_constraint(constraint, table, f"{column} IN ({listed})")


def _unfinished(states: str) -> None:
    """Say in which states a regeneration has no end yet, and is the only one of its draft."""
    constraint = op.f("ck_regenerations_final_is_finished")
    op.drop_constraint(constraint, "regenerations")
    op.create_check_constraint(
        constraint, "regenerations", f"state NOT IN ({states}) = (finished_at IS NOT NULL)"
    )
    op.drop_index("uq_regenerations_live", table_name="regenerations")
    op.create_index(
        "uq_regenerations_live",
        "regenerations",
        ["draft_id"],
        unique=True,
        postgresql_where=sa.text(f"state IN ({states})"),
    )
