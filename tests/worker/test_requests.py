"""A regeneration as an annotator's transaction asks for it and ends it."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import regenerations
from app.models import Chunk, Regeneration, RunState, Segment
from tests.worker.conftest import Studio

Q = RunState.QUEUED


def test_a_rolled_back_request_leaves_neither_row_nor_job(studio: Studio) -> None:
    with studio.sessions() as db:
        _request(db, studio)
        assert db.scalars(text("SELECT count(*) FROM procrastinate_jobs")).one() == 1
        db.rollback()
    with studio.sessions() as db:
        assert db.scalars(text("SELECT count(*) FROM procrastinate_jobs")).one() == 0
        assert db.scalars(select(Regeneration)).all() == []


def test_a_request_moves_the_draft_and_takes_the_project_settings(studio: Studio) -> None:
    with studio.sessions.begin() as db:
        draft = studio.draft(db)
        db.execute(text("""UPDATE projects SET generation = '{"temperature": 0.7}'"""))
        run = _request(db, studio)
        assert (run.number, run.state, run.settings) == (2, Q, {"temperature": 0.7})
        assert (draft.head_id, draft.regeneration_id) == (run.anchor_id, run.id)
        assert regenerations.leaf(db, draft) == run.anchor_id


def test_a_newer_request_takes_the_place_of_a_running_one(studio: Studio) -> None:
    first = studio.correct(3, "captivating realm", "wide field")
    studio.start(first)
    second = studio.correct(2, "Welcome back", "Hello again")
    assert studio.run(first).state is RunState.SUPERSEDED
    assert studio.run(first).finished_at is not None
    assert (studio.run(second).state, studio.run(second).number) == (Q, 3)


def test_two_live_regenerations_of_a_draft_are_refused_by_the_schema(studio: Studio) -> None:
    studio.correct(3, "captivating realm", "wide field")
    with studio.sessions() as db:
        run = db.scalars(select(Regeneration)).one()
        columns = "draft_id, sample_id, anchor_id, leaf_id, displaced_id, displaced_depth"
        with pytest.raises(IntegrityError, match="uq_regenerations_live"):
            db.execute(
                text(
                    f"INSERT INTO regenerations (number, {columns}) "
                    f"SELECT 9, {columns} FROM regenerations WHERE id = {run.id}"
                )
            )


def test_stop_keeps_what_was_written_as_the_last_segment(studio: Studio) -> None:
    run = studio.correct(3, "captivating realm", "wide field")
    work = studio.start(run)
    first, rest = "## Slide 4\nWhole.\n", "## Slide 5\nHalf a sen"
    studio.append(
        regenerations.Portion(
            run,
            work.attempt,
            0,
            first + rest,
            cuts=(regenerations.Cut(len(first), first, 3),),
        )
    )
    studio.stop(run)
    assert studio.segments(run) == [first, rest]
    with studio.sessions() as db:
        row = db.get_one(Regeneration, run)
        last = db.get_one(Segment, row.leaf_id)
        assert (row.state, row.cut) == (RunState.CANCELLED, row.written)
        assert (last.ends_output, last.depth) == (False, 5)
        assert regenerations.leaf(db, studio.draft(db)) == last.id


def test_stop_before_the_first_word_leaves_the_text_at_the_correction(studio: Studio) -> None:
    run = studio.correct(3, "captivating realm", "wide field")
    studio.stop(run)
    studio.stop(run)
    assert studio.run(run).state is RunState.CANCELLED
    assert studio.run(run).leaf_id == studio.run(run).anchor_id


def test_stop_of_another_drafts_regeneration_changes_nothing(studio: Studio) -> None:
    run = studio.correct(3, "captivating realm", "wide field")
    studio.new_draft(["One.\n", "Two."])
    studio.stop(run)
    assert studio.run(run).state is Q


def test_text_is_cleared_away_once_it_is_in_segments(studio: Studio) -> None:
    run = studio.correct(3, "captivating realm", "wide field")
    work = studio.start(run)
    part = regenerations.Portion(
        run,
        work.attempt,
        0,
        "All.",
        (regenerations.Cut(4, "All.", None),),
        regenerations.Ending("stop"),
    )
    studio.append(part)
    with studio.sessions.begin() as db:
        assert regenerations.clear_chunks(db) == 0, "a page may still be reading"
        db.execute(text("UPDATE regenerations SET finished_at = now() - interval '2 hours'"))
        assert regenerations.clear_chunks(db) == 1
        assert db.scalars(select(Chunk)).all() == []
    assert studio.segments(run) == ["All."]


def _request(db: Session, studio: Studio) -> Regeneration:
    draft = studio.draft(db)
    leaf = db.get_one(Segment, draft.head_id)
    assert leaf.parent_id is not None
    return regenerations.request(
        db,
        draft=draft,
        anchor_id=leaf.parent_id,
        displaced_id=leaf.id,
        displaced_depth=leaf.depth - 1,
    )
