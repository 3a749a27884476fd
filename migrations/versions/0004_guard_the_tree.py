"""Guard what rows alone cannot hold: immutable segments, different sides, append-only audit."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rows of % are never updated or deleted', TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation';
        END $$;

        CREATE TRIGGER segments_are_immutable BEFORE UPDATE OR DELETE ON segments
            FOR EACH ROW EXECUTE FUNCTION refuse_change();
        CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit_events
            FOR EACH ROW EXECUTE FUNCTION refuse_change();
        CREATE TRIGGER corrections_are_kept BEFORE DELETE ON corrections
            FOR EACH ROW EXECUTE FUNCTION refuse_change();

        CREATE FUNCTION check_depth() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.parent_id IS NOT NULL AND NEW.depth IS DISTINCT FROM
                (SELECT depth + 1 FROM segments WHERE id = NEW.parent_id) THEN
                RAISE EXCEPTION 'a segment stands one below its parent'
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$;

        CREATE TRIGGER segments_depth BEFORE INSERT ON segments
            FOR EACH ROW EXECUTE FUNCTION check_depth();

        CREATE FUNCTION check_correction() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND
                (NEW.draft_id, NEW.sample_id, NEW.annotator_id, NEW.parent_id, NEW.chosen_id,
                 NEW.rejected_id, NEW.kind, NEW.on_policy, NEW.created_at)
                IS DISTINCT FROM
                (OLD.draft_id, OLD.sample_id, OLD.annotator_id, OLD.parent_id, OLD.chosen_id,
                 OLD.rejected_id, OLD.kind, OLD.on_policy, OLD.created_at) THEN
                RAISE EXCEPTION 'a correction is retracted or superseded, never edited'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            IF TG_OP = 'INSERT' AND
                (SELECT text FROM segments WHERE id = NEW.chosen_id) =
                (SELECT text FROM segments WHERE id = NEW.rejected_id) THEN
                RAISE EXCEPTION 'chosen and rejected are the same text'
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$;

        CREATE TRIGGER corrections_rules BEFORE INSERT OR UPDATE ON corrections
            FOR EACH ROW EXECUTE FUNCTION check_correction();
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TRIGGER corrections_rules ON corrections;
        DROP FUNCTION check_correction();
        DROP TRIGGER segments_depth ON segments;
        DROP FUNCTION check_depth();
        DROP TRIGGER corrections_are_kept ON corrections;
        DROP TRIGGER audit_is_append_only ON audit_events;
        DROP TRIGGER segments_are_immutable ON segments;
        DROP FUNCTION refuse_change();
        """
    )
