"""Keep with each sample what it was cut by, and let a project's rule wait for its first import."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_BEFORE = "('slides', 'headings', 'paragraphs', 'sentences')"
_AFTER = "('slides', 'headings', 'paragraphs', 'sentences', 'gaps', 'lines', 'groups')"


def upgrade() -> None:
    op.alter_column("projects", "rule", existing_type=sa.String(20), nullable=True)
    op.drop_constraint("ck_projects_rule", "projects")
    op.create_check_constraint(op.f("ck_projects_rule"), "projects", f"rule IN {_AFTER}")
    op.add_column("samples", sa.Column("rule", sa.String(20), nullable=True))
    op.add_column("samples", sa.Column("rule_words", sa.BigInteger(), nullable=True))
    op.add_column(
        "samples", sa.Column("part_images", postgresql.ARRAY(sa.BigInteger()), nullable=True)
    )
    # Until now an import that took a finer rule wrote it into the sample's metadata.
    op.execute(
        """
        UPDATE samples SET rule = metadata ->> 'rule', rule_words = project.rule_words,
            metadata = metadata - 'rule'
        FROM projects AS project
        WHERE project.id = samples.project_id
            AND metadata ->> 'rule' IN ('paragraphs', 'sentences')
        """
    )
    op.create_check_constraint(op.f("ck_samples_rule"), "samples", f"rule IN {_AFTER}")
    op.create_check_constraint(
        op.f("ck_samples_rule_is_whole"), "samples", "(rule IS NULL) = (rule_words IS NULL)"
    )
    op.create_check_constraint(
        op.f("ck_samples_rule_words"), "samples", "rule_words BETWEEN 10 AND 2000"
    )


def downgrade() -> None:
    op.execute(
        """
        UPDATE samples SET metadata = metadata || jsonb_build_object('rule', rule)
        WHERE rule IN ('paragraphs', 'sentences')
        """
    )
    op.drop_column("samples", "part_images")
    op.drop_column("samples", "rule_words")
    op.drop_column("samples", "rule")
    op.execute(
        """
        UPDATE projects SET rule = 'slides'
        WHERE rule IS NULL OR rule IN ('gaps', 'lines', 'groups')
        """
    )
    op.drop_constraint("ck_projects_rule", "projects")
    op.create_check_constraint(op.f("ck_projects_rule"), "projects", f"rule IN {_BEFORE}")
    op.alter_column("projects", "rule", existing_type=sa.String(20), nullable=False)
