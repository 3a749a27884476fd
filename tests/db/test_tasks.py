"""Taking samples: each open one goes to as many annotators as the project asks for."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import Session

from app.annotation.edits import assignment
from app.database.sessions import make_engine, make_sessions
from app.refusals import Conflict, NotFound
from tests.db.conftest import Desk
from tests.support.factories import add_project, add_sample, add_user


def test_opening_a_sample_twice_gives_the_same_draft(db: Session) -> None:
    user = add_user(db)
    sample = add_sample(db, project=add_project(db, user))
    first = assignment.open_draft(db, sample_id=sample.id, user_id=user.id)
    assert assignment.open_draft(db, sample_id=sample.id, user_id=user.id) is first
    assert first.head_id == sample.head_id
    assert sample.taken == 1


def test_a_taken_sample_is_refused_to_the_next(db: Session) -> None:
    one, two = add_user(db), add_user(db)
    sample = add_sample(db, project=add_project(db, one, two))
    assignment.open_draft(db, sample_id=sample.id, user_id=one.id)
    with pytest.raises(Conflict):
        assignment.open_draft(db, sample_id=sample.id, user_id=two.id)


def test_a_project_can_ask_for_two_annotators(db: Session) -> None:
    one, two = add_user(db), add_user(db)
    sample = add_sample(db, project=add_project(db, one, two, annotators=2))
    first = assignment.open_draft(db, sample_id=sample.id, user_id=one.id)
    second = assignment.open_draft(db, sample_id=sample.id, user_id=two.id)
    assert first.id != second.id


def test_the_next_sample_is_the_oldest_open_one_of_a_project_of_mine(db: Session) -> None:
    me, other = add_user(db), add_user(db)
    add_sample(db, project=add_project(db, other))
    mine = add_project(db, me, annotators=2)
    samples = [add_sample(db, project=mine) for _ in range(2)]
    for sample in samples:
        assert assignment.next_sample(db, user_id=me.id) == sample.id
        assignment.open_draft(db, sample_id=sample.id, user_id=me.id)
    assert assignment.next_sample(db, user_id=me.id) is None


def test_an_unknown_sample_is_not_found(db: Session) -> None:
    with pytest.raises(NotFound):
        assignment.open_draft(db, sample_id=0, user_id=add_user(db).id)


def test_a_draft_cannot_be_finished_while_it_is_being_written(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    with pytest.raises(Conflict, match="being written"):
        assignment.finish(desk.db, draft=desk.draft, base_version=desk.draft.version)


def test_annotators_who_ask_at_once_get_different_samples(committed_database: str) -> None:
    engine = make_engine(committed_database)
    sessions = make_sessions(engine)
    with sessions.begin() as db:
        users = [add_user(db) for _ in range(8)]
        project = add_project(db, *users)
        for _ in range(8):
            add_sample(db, project=project)

    def take(user_id: int) -> int:
        with sessions.begin() as db:
            sample_id = assignment.next_sample(db, user_id=user_id)
            assert sample_id is not None
            return assignment.open_draft(db, sample_id=sample_id, user_id=user_id).sample_id

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, [user.id for user in users]))
    engine.dispose()
    assert len(set(taken)) == 8
