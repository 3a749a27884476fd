"""Look-ahead: a run waits for its annotator, and goes on when it is reached."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.annotation.edits import assignment, correction, structure
from app.annotation.views import workspace
from app.models import Project, RunState, Sample, now
from app.refusals import Conflict
from tests.db.conftest import Desk, make_desk
from tests.support.factories import add_draft, add_sample, add_user

Q, W = RunState.QUEUED, RunState.WAITING
CHANGED = "## Slide 1\nHello."


@pytest.fixture
def desk(db: Session) -> Desk:
    return make_desk(db, look_ahead=3)


@pytest.fixture
def waiting(desk: Desk) -> Desk:
    """Segment 1 is corrected, 2 to 4 are written anew, the beginning of 5 stands there."""
    desk.correct(1, CHANGED, rewrite=True)
    for number in (2, 3, 4):
        desk.write(f"## Slide {number}\nWritten {number}.\n\n")
    desk.say("## Slide 5\nHalf")
    desk.wait()
    return desk


def _project(desk: Desk) -> Project:
    sample = desk.db.get_one(Sample, desk.draft.sample_id)
    return desk.db.get_one(Project, sample.project_id)


def jobs(db: Session) -> int:
    return int(db.scalars(text("SELECT count(*) FROM procrastinate_jobs")).one())


def test_it_waits_and_keeps_what_it_has_begun(waiting: Desk) -> None:
    run = waiting.run
    assert (run.state, run.wanted, run.finished_at, run.lease_until) == (W, 3, None, None)
    view = workspace.workspace(waiting.db, draft=waiting.draft).run
    assert view is not None
    assert (view.waits, view.tail, view.segments) == (True, "## Slide 5\nHalf", 3)


def test_no_speed_is_told_of_a_run_that_has_waited(waiting: Desk) -> None:
    run = waiting.run
    run.first_text_at = now() - timedelta(minutes=1)
    for attempt, told in ((1, True), (2, False)):
        run.attempt = attempt
        waiting.db.flush()
        view = workspace.workspace(waiting.db, draft=waiting.draft).run
        assert view is not None
        assert (view.words_per_s is not None) is told


def test_a_verdict_before_the_last_but_one_lets_it_wait(waiting: Desk) -> None:
    waiting.accept(2)
    assert waiting.run.state is W


@pytest.mark.parametrize("number", [3, 4])
def test_a_verdict_from_the_last_but_one_on_lets_it_go_on(waiting: Desk, number: int) -> None:
    before = jobs(waiting.db)
    waiting.accept(number)
    assert (waiting.run.state, waiting.run.wanted) == (Q, 6)
    assert jobs(waiting.db) == before + 1
    waiting.say(" a sentence.\n")
    assert waiting.run.attempt == 2


def test_it_goes_on_once_however_often_it_is_asked(waiting: Desk) -> None:
    before = jobs(waiting.db)
    version = waiting.draft.version
    assert waiting.write_on()
    assert not waiting.write_on()
    assert (waiting.run.wanted, jobs(waiting.db)) == (6, before + 1)
    assert waiting.draft.version == version


def test_asking_for_more_begins_a_new_count_of_failures(waiting: Desk) -> None:
    waiting.run.failures, waiting.run.spent_s = 4, 1000.0
    waiting.write_on()
    run = waiting.run
    assert (run.failures, run.tries, run.spent_s) == (0, 0, 0)


def test_more_than_was_wanted_counts_as_well(desk: Desk) -> None:
    desk.correct(1, CHANGED, rewrite=True)
    for number in range(2, 8):
        desk.write(f"## Slide {number}\nWritten.\n\n")
    desk.wait()
    desk.write_on()
    assert desk.run.wanted == 9


def test_finishing_while_it_waits_is_answered_with_the_two_ways_out(waiting: Desk) -> None:
    with pytest.raises(Conflict, match="Press Resume for the rest, or Stop"):
        assignment.finish(waiting.db, draft=waiting.draft, base_version=waiting.draft.version)
    correction.stop(waiting.db, draft=waiting.draft, regeneration_id=waiting.run.id)
    assert waiting.run.state is RunState.CANCELLED
    assert waiting.texts[-1] == "## Slide 5\nHalf"
    assignment.finish(waiting.db, draft=waiting.draft, base_version=waiting.draft.version)


def test_a_kept_correction_carries_the_wait_on(waiting: Desk) -> None:
    old = waiting.run
    waiting.correct(2, "## Slide 2\nMine.")
    assert old.state is RunState.SUPERSEDED
    run = waiting.run
    assert (run.id != old.id, run.state, run.wanted, run.written) == (True, W, 0, 0)
    assert len(waiting.texts) == 4
    assert waiting.write_on()
    assert (waiting.run.state, waiting.run.wanted) == (Q, 3)


def test_a_kept_correction_near_the_end_lets_it_go_on(waiting: Desk) -> None:
    waiting.correct(3, "## Slide 3\nMine.")
    assert (waiting.run.state, waiting.run.wanted) == (Q, 3)


def test_a_kept_correction_while_it_writes_keeps_what_is_left_of_the_look_ahead(desk: Desk) -> None:
    desk.correct(1, CHANGED, rewrite=True)
    desk.write("## Slide 2\nWritten.\n\n")
    desk.correct(1, "## Slide 1\nHello again.")
    assert (desk.run.state, desk.run.wanted, len(desk.texts)) == (Q, 2, 2)


def test_splitting_carries_the_wait_on_too(waiting: Desk) -> None:
    structure.split(
        waiting.db,
        draft=waiting.draft,
        base_version=waiting.draft.version,
        segment_id=waiting.at(2).id,
        at=11,
    )
    assert (waiting.run.state, len(waiting.texts)) == (W, 5)


def test_a_rewriting_correction_supersedes_what_waits(waiting: Desk) -> None:
    old = waiting.run
    waiting.correct(2, "## Slide 2\nMine.", rewrite=True)
    assert (old.state, waiting.run.state, waiting.run.wanted) == (RunState.SUPERSEDED, Q, 3)


def test_a_setting_that_was_taken_away_means_all(waiting: Desk) -> None:
    waiting.run.settings = {}
    waiting.write_on()
    assert waiting.run.wanted is None


def test_who_has_many_texts_written_goes_behind_who_has_one(db: Session, desk: Desk) -> None:
    priorities = []
    for _ in range(12):
        sample = add_sample(db, project=_project(desk))
        other = Desk(db, add_draft(db, sample=sample, user=desk.user), desk.user)
        other.correct(1, CHANGED, rewrite=True)
        priorities.append(other.run.priority)
    assert priorities == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 1]
    user = add_user(db)
    alone = Desk(db, add_draft(db, sample=add_sample(db, project=_project(desk)), user=user), user)
    alone.correct(1, CHANGED, rewrite=True)
    assert alone.run.priority == 10
    fetched = db.execute(
        text(
            "SELECT (args ->> 'regeneration_id')::bigint FROM procrastinate_jobs "
            "ORDER BY priority DESC, id"
        )
    ).scalars()
    assert [*fetched][1] == alone.run.id


def test_what_waits_for_its_annotator_counts_for_nothing(waiting: Desk) -> None:
    db = waiting.db
    other = Desk(
        db,
        add_draft(db, sample=add_sample(db, project=_project(waiting)), user=waiting.user),
        waiting.user,
    )
    other.correct(1, CHANGED, rewrite=True)
    assert other.run.priority == 10
