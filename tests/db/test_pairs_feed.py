"""The feed of pairs neither skips nor repeats, whatever order transactions commit in."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.annotation.edits import correction, reversal
from app.annotation.edits.revision import draft_state
from app.database.sessions import Sessions, make_engine, make_sessions
from app.domain.filters import PairFilter
from app.exports.reader import read_pairs
from app.models import Correction, Draft, Project
from app.pairs import feed
from tests.db.conftest import Desk
from tests.support.factories import add_draft, add_project, add_sample, add_user


def read(db: Session, project_id: int, after: int = 0) -> list[tuple[int, int]]:
    """(cursor, pair id) of everything behind a cursor."""
    found = feed.read_on(db, PairFilter(), [project_id], after=after, limit=1000)
    pairs = read_pairs(lambda: nullcontext(db), iter([found.ids]))
    return [(pair.cursor, pair.pair_id) for pair in pairs]


def project_of(desk: Desk) -> int:
    return desk.db.scalars(select(Project.id).order_by(Project.id.desc())).first() or 0


def test_a_new_pair_stands_behind_those_before_it(desk: Desk) -> None:
    project_id = project_of(desk)
    desk.correct(1, "## Slide 1\nHello.")
    first = read(desk.db, project_id)
    desk.correct(2, "## Slide 2\nThe chart shows 21 percent.")
    second = read(desk.db, project_id, after=first[-1][0])
    assert [pair_id for _, pair_id in [*first, *second]] == [pair.id for pair in desk.pairs]


def test_reading_again_gives_the_same_places(desk: Desk) -> None:
    project_id = project_of(desk)
    desk.correct(1, "## Slide 1\nHello.")
    assert read(desk.db, project_id) == read(desk.db, project_id)


def test_a_replaced_correction_leaves_the_feed(desk: Desk) -> None:
    project_id = project_of(desk)
    desk.correct(1, "## Slide 1\nHello.")
    (place, _), *_ = read(desk.db, project_id)
    desk.correct(1, "## Slide 1\nHello again.")
    ((later, pair_id),) = read(desk.db, project_id)
    assert later > place
    assert pair_id == desk.pairs[-1].id


def test_a_correction_that_comes_back_stands_behind_every_cursor(desk: Desk) -> None:
    project_id = project_of(desk)
    desk.correct(1, "## Slide 1\nHello.")
    revived = desk.pairs[0].id
    read(desk.db, project_id)
    desk.correct(1, "## Slide 1\nHello again.")
    ((cursor, _),) = read(desk.db, project_id)
    reversal.undo(desk.db, draft=desk.draft, base_version=desk.draft.version)
    ((place, pair_id),) = read(desk.db, project_id, after=cursor)
    assert pair_id == revived
    assert place > cursor


def test_a_place_that_was_given_back_is_never_given_again(desk: Desk) -> None:
    project_id = project_of(desk)
    desk.correct(1, "## Slide 1\nHello.")
    ((cursor, _),) = read(desk.db, project_id)
    reversal.undo(desk.db, draft=desk.draft, base_version=desk.draft.version)
    assert read(desk.db, project_id) == []
    desk.correct(2, "## Slide 2\nThe chart shows 21 percent.")
    assert len(read(desk.db, project_id, after=cursor)) == 1


def test_a_deletion_is_a_pair_once_its_follower_is_judged(desk: Desk) -> None:
    project_id = project_of(desk)
    desk.delete(2)
    assert read(desk.db, project_id) == []
    desk.accept(2)
    assert len(read(desk.db, project_id)) == 1
    reversal.undo(desk.db, draft=desk.draft, base_version=desk.draft.version)
    assert read(desk.db, project_id) == []


def test_a_window_says_where_it_ends_and_whether_more_follows(desk: Desk) -> None:
    project_id = project_of(desk)
    for number in (1, 2, 3):
        desk.correct(number, f"## Slide {number}\nCorrected.")
    feed.assign_positions(desk.db, at_most=10)
    two = feed.window(desk.db, PairFilter(), [project_id], after=0, limit=2)
    rest = feed.window(desk.db, PairFilter(), [project_id], after=two.until, limit=2)
    assert (len(two.ids), two.more, len(rest.ids), rest.more) == (2, True, 1, False)
    assert rest.until > two.until
    assert rest.digest != two.digest
    empty = feed.window(desk.db, PairFilter(), [project_id], after=rest.until, limit=2)
    assert (len(empty.ids), empty.more, empty.until) == (0, False, rest.until)
    assert empty.newest_at is None


def test_places_are_given_to_the_oldest_so_many_at_once(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.correct(number, f"## Slide {number}\nCorrected.")
    assert [feed.assign_positions(desk.db, at_most=2) for _ in range(3)] == [2, 1, 0]
    places = select(Correction.id).order_by(Correction.feed_position)
    assert list(desk.db.scalars(places)) == [pair.id for pair in desk.pairs]


def test_a_window_that_ends_where_places_ran_out_says_that_more_follows(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "AT_ONCE", 2)
    project_id = project_of(desk)
    for number in (1, 2, 3):
        desk.correct(number, f"## Slide {number}\nCorrected.")
    first = feed.read_on(desk.db, PairFilter(), [project_id], after=0, limit=1000)
    rest = feed.read_on(desk.db, PairFilter(), [project_id], after=first.until, limit=1000)
    assert (len(first.ids), first.more, len(rest.ids), rest.more) == (2, True, 1, False)
    assert [*first.ids, *rest.ids] == [pair.id for pair in desk.pairs]


def test_a_window_is_not_empty_because_others_were_given_places(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "AT_ONCE", 1)
    project_id = project_of(desk)
    for number in (1, 2, 3):
        desk.correct(number, f"## Slide {number}\nCorrected.")
    last = PairFilter(min_position=2)
    found = feed.read_on(desk.db, last, [project_id], after=0, limit=1000)
    assert list(found.ids) == [desk.pairs[2].id]
    none = PairFilter(min_position=9)
    empty = feed.read_on(desk.db, none, [project_id], after=0, limit=1000)
    assert (len(empty.ids), empty.more) == (0, False)


@pytest.fixture
def sessions(committed_database: str) -> Iterator[Sessions]:
    engine = make_engine(committed_database, pool=8)
    yield make_sessions(engine)
    engine.dispose()


def two_drafts(sessions: Sessions) -> tuple[int, int, int]:
    """The ids of a project and of two drafts in it."""
    with sessions.begin() as db:
        users = add_user(db), add_user(db)
        project = add_project(db, *users, annotators=2)
        sample = add_sample(db, project=project)
        drafts = [add_draft(db, sample=sample, user=user) for user in users]
        return project.id, drafts[0].id, drafts[1].id


def correct(db: Session, draft_id: int) -> int:
    draft = db.get_one(Draft, draft_id, with_for_update=True)
    segment = draft_state(db, draft).path.steps[1]
    correction.correct(
        db,
        draft=draft,
        base_version=draft.version,
        segment_id=segment.id,
        text=f"## Slide 1\nBy {draft.user_id}.",
        rewrite=False,
    )
    return db.scalars(select(Correction.id).where(Correction.draft_id == draft.id)).one()


def test_a_lower_id_that_commits_later_is_not_skipped(sessions: Sessions) -> None:
    project_id, first_draft, second_draft = two_drafts(sessions)
    with sessions() as slow, sessions() as quick:
        lower = correct(slow, first_draft)
        higher = correct(quick, second_draft)
        assert lower < higher
        quick.commit()
        with sessions.begin() as reader:
            ((cursor, seen),) = read(reader, project_id)
        slow.commit()
        with sessions.begin() as reader:
            later = read(reader, project_id, after=cursor)
    assert seen == higher
    assert [pair_id for _, pair_id in later] == [lower]


def test_a_correction_that_is_being_taken_back_makes_no_reader_wait(sessions: Sessions) -> None:
    project_id, first_draft, second_draft = two_drafts(sessions)
    with sessions.begin() as db:
        correct(db, first_draft)
        other = correct(db, second_draft)
    with sessions() as busy:
        draft = busy.get_one(Draft, first_draft, with_for_update=True)
        reversal.undo(busy, draft=draft, base_version=draft.version)
        with sessions.begin() as reader:
            assert [pair_id for _, pair_id in read(reader, project_id)] == [other]
        busy.rollback()
    with sessions.begin() as reader:
        assert len(read(reader, project_id)) == 2


def test_two_readers_give_each_pair_one_place(sessions: Sessions) -> None:
    project_id, first_draft, second_draft = two_drafts(sessions)
    with sessions.begin() as db:
        correct(db, first_draft)
    with sessions() as one, sessions.begin() as db:
        assert feed.assign_positions(one, at_most=10) == 1
        correct(db, second_draft)
        one.commit()
    with sessions.begin() as two:
        assert feed.assign_positions(two, at_most=10) == 1
        places = [place for place, _ in read(two, project_id)]
    assert places == sorted(set(places))
    assert len(places) == 2
