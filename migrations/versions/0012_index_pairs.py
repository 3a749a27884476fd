"""Name with each correction the policy of its rejected side, and index what pages ask of pairs."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_BATCH = 10_000
_NAMED = sa.text(
    """
    UPDATE corrections SET policy_id = rejected.policy_id
    FROM segments rejected
    WHERE rejected.id = corrections.rejected_id AND rejected.policy_id IS NOT NULL
      AND corrections.id > :after AND corrections.id <= :last
    """
)
_CHECK = """
    CREATE OR REPLACE FUNCTION check_correction() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND
            (NEW.draft_id, NEW.sample_id, NEW.annotator_id, NEW.parent_id, NEW.chosen_id,
             NEW.rejected_id, NEW.kind, NEW.on_policy, NEW.created_at{also_new})
            IS DISTINCT FROM
            (OLD.draft_id, OLD.sample_id, OLD.annotator_id, OLD.parent_id, OLD.chosen_id,
             OLD.rejected_id, OLD.kind, OLD.on_policy, OLD.created_at{also_old}) THEN
            RAISE EXCEPTION 'a correction is retracted or superseded, never edited'
                USING ERRCODE = 'restrict_violation';
        END IF;
        IF TG_OP = 'INSERT' AND
            (SELECT text FROM segments WHERE id = NEW.chosen_id) =
            (SELECT text FROM segments WHERE id = NEW.rejected_id) THEN
            RAISE EXCEPTION 'chosen and rejected are the same text'
                USING ERRCODE = 'check_violation';
        END IF;{more}
        RETURN NEW;
    END $$
"""
_COPY = """
        IF TG_OP = 'INSERT' THEN
            NEW.policy_id := (SELECT policy_id FROM segments WHERE id = NEW.rejected_id);
        END IF;"""


def upgrade() -> None:
    op.add_column("corrections", sa.Column("policy_id", sa.BigInteger(), nullable=True))
    connection = op.get_bind()
    newest = connection.scalar(sa.text("SELECT coalesce(max(id), 0) FROM corrections"))
    for after in range(0, newest, _BATCH):
        connection.execute(_NAMED, {"after": after, "last": after + _BATCH})
    op.execute(_CHECK.format(also_new=", NEW.policy_id", also_old=", OLD.policy_id", more=_COPY))
    op.create_foreign_key(
        op.f("fk_corrections_policy_id"), "corrections", "policies", ["policy_id"], ["id"]
    )
    op.create_index(
        "ix_corrections_policy_id",
        "corrections",
        ["policy_id"],
        postgresql_include=["kind", "draft_id", "chosen_id"],
        postgresql_where=sa.text("retracted_at IS NULL AND superseded_by IS NULL"),
    )
    op.create_index("ix_corrections_rejected_id", "corrections", ["rejected_id", "kind", "id"])


def downgrade() -> None:
    op.drop_index("ix_corrections_rejected_id", table_name="corrections")
    op.drop_index("ix_corrections_policy_id", table_name="corrections")
    op.execute(_CHECK.format(also_new="", also_old="", more=""))
    op.drop_column("corrections", "policy_id")
