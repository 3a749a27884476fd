"""Add the job queue: the schema of procrastinate 3.10, as its package has it.

A later version's own migration scripts (procrastinate/sql/migrations) each get one of ours.
"""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = Path(__file__).parent.parent / "procrastinate_3_10.sql"


def upgrade() -> None:
    # Through the driver's cursor: neither ":" nor "%" of the library's SQL is a parameter.
    op.get_bind().connection.cursor().execute(SCHEMA.read_text("utf-8"))


def downgrade() -> None:
    op.execute(
        r"""
        DO $$
        DECLARE
            name text;
        BEGIN
            DROP TABLE procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs,
                procrastinate_workers CASCADE;
            FOR name IN
                SELECT oid::regprocedure FROM pg_proc WHERE proname LIKE 'procrastinate\_%'
            LOOP
                EXECUTE 'DROP ROUTINE ' || name;
            END LOOP;
            DROP TYPE procrastinate_job_to_defer_v1, procrastinate_job_event_type,
                procrastinate_job_status;
        END $$;
        """
    )
