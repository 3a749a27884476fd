"""Candidates: alternatives for the next segment, and the pairs that a choice among them makes."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import regenerations
from app.annotation.edits import assignment, correction
from app.annotation.views import history, workspace
from app.annotation.views.segments import lines
from app.annotation.views.values import State
from app.domain.corrections import Kind
from app.models import Action, Correction, Regeneration, Revision, RunState, Segment
from app.refusals import Conflict
from tests.db.conftest import Desk, make_desk

ONE, TWO, THREE = (f"## Slide 3\nVersion {number}.\n\n" for number in ("one", "two", "three"))
CHANGED = "## Slide 2\nThe chart shows 21 percent."


@pytest.fixture
def desk(db: Session) -> Desk:
    return make_desk(db, candidates=3)


@pytest.fixture
def offering(desk: Desk) -> Desk:
    """Segment 2 is corrected, and three candidates for segment 3 are offered."""
    desk.correct(2, CHANGED, rewrite=True)
    desk.offer(ONE, TWO, THREE)
    return desk


def choices(desk: Desk) -> list[tuple[str, str]]:
    """Chosen and rejected text of the choices that count."""
    found = []
    for pair in desk.pairs:
        if pair.kind is Kind.CHOICE:
            texts = [
                desk.db.get_one(Segment, one).text for one in (pair.chosen_id, pair.rejected_id)
            ]
            found.append((texts[0], texts[1]))
    return found


def test_after_a_correction_the_run_offers_candidates_and_waits(offering: Desk) -> None:
    assert offering.run.state is RunState.WAITING
    assert [one.text for one in offering.offered()] == [ONE, TWO, THREE]
    assert len(offering.texts) == 2, "none of them stands in the text yet"
    assert all(one.policy_id and one.regeneration_id for one in offering.offered())


def test_the_chosen_one_goes_on_and_the_others_become_pairs_of_their_own_kind(
    offering: Desk,
) -> None:
    offering.choose(2)
    assert offering.texts[2:] == [TWO]
    run = offering.run
    assert (run.state, run.written, run.cut) == (RunState.QUEUED, len(TWO), len(TWO))
    assert choices(offering) == [(TWO, ONE), (TWO, THREE)]
    assert all(pair.on_policy for pair in offering.pairs)
    offering.write("## Slide 4\nBye.", stop_reason="stop")
    assert offering.texts[2:] == [TWO, "## Slide 4\nBye."]


def test_a_choice_is_no_verdict_and_no_edit(offering: Desk) -> None:
    offering.choose(1)
    view = workspace.segment(offering.db, draft=offering.draft, segment_id=offering.at(3).id)
    assert (view.state, view.original, view.kind) == (State.NEW, None, None)
    path = lines(offering.db, offering.draft, offering.at(3).id)
    assert [line.number for line in path] == [1, 2, 3], "no line stands there twice"


def test_a_chosen_segment_can_be_corrected_like_any_other(offering: Desk) -> None:
    offering.choose(1)
    offering.correct(3, "## Slide 3\nMine.")
    pair = offering.pairs[-1]
    assert pair.kind is Kind.REWRITE
    assert offering.db.get_one(Segment, pair.rejected_id).text == ONE
    assert choices(offering) == [], "the candidate that was chosen is in the text no more"
    offering.correct(3, ONE.strip())
    offering.db.refresh(pair)
    assert pair.rested_at is not None
    assert offering.at(3).text == ONE
    assert len(choices(offering)) == 2, "it is there again"


def test_one_may_choose_while_others_are_being_written(desk: Desk) -> None:
    desk.correct(2, CHANGED, rewrite=True)
    run = desk._taken()
    cut = regenerations.Cut(len(ONE), ONE, None)
    regenerations.offer(desk.db, regenerations.Candidate(run.id, run.attempt, 1, cut, False))
    desk.choose(1)
    late = regenerations.Candidate(run.id, run.attempt, 0, regenerations.Cut(3, "Two", None), False)
    assert regenerations.offer(desk.db, late) is regenerations.Outcome.LOST
    assert (
        regenerations.settle(desk.db, regeneration_id=run.id, attempt=run.attempt)
        is regenerations.Outcome.LOST
    )
    assert choices(desk) == []
    assert desk.texts[2:] == [ONE]


def test_one_text_is_kept_once_and_taken_by_itself(desk: Desk) -> None:
    desk.correct(2, CHANGED, rewrite=True)
    desk.offer(ONE, ONE, ONE)
    assert desk.texts[2:] == [ONE]
    assert desk.run.state is RunState.QUEUED
    assert choices(desk) == []


def test_without_any_candidate_the_text_has_ended(desk: Desk) -> None:
    desk.correct(2, CHANGED, rewrite=True)
    desk.offer()
    assert desk.run.state is RunState.DONE
    assert len(desk.texts) == 2


def test_a_chosen_end_ends_the_output(desk: Desk) -> None:
    desk.correct(2, CHANGED, rewrite=True)
    desk.offer(ONE, TWO, ends_output=True)
    desk.choose(1)
    assert (desk.run.state, desk.run.stop_reason) == (RunState.DONE, "stop")
    assert desk.at(3).ends_output


def test_what_is_not_offered_cannot_be_chosen(offering: Desk) -> None:
    with pytest.raises(Conflict, match="no longer available"):
        offering.choose(4)
    offering.choose(1)
    with pytest.raises(Conflict, match="no longer available"):
        offering.choose(1)


def test_undo_takes_the_choice_back_and_offers_the_same_again(offering: Desk) -> None:
    first = offering.run
    offering.choose(2)
    offering.write("## Slide 4\nBye.\n")
    offering.undo()
    assert choices(offering) == []
    assert len(offering.texts) == 2
    again = offering.run
    assert (again.state, again.candidates_of) == (RunState.WAITING, first.id)
    assert [one.text for one in offering.offered()] == [ONE, TWO, THREE]
    offering.choose(3)
    assert choices(offering) == [(THREE, ONE), (THREE, TWO)]
    view = workspace.segment(offering.db, draft=offering.draft, segment_id=offering.at(3).id)
    assert view.state is State.NEW
    news = regenerations.news(offering.db, [regenerations.Position(again.id, 0, 0)])[0]
    assert [(one.start, one.end) for one in news.segments] == [(0, len(THREE))]
    offering.undo()
    offering.undo()
    assert offering.pairs == []
    assert offering.now.run is None


def test_undoing_a_correction_that_ended_an_offer_offers_again(offering: Desk) -> None:
    offering.correct(1, "## Slide 1\nHello.", rewrite=True)
    offering.undo()
    assert offering.run.state is RunState.WAITING
    assert [one.text for one in offering.offered()] == [ONE, TWO, THREE]


def test_candidates_that_an_undone_step_left_unwritten_are_written_then(desk: Desk) -> None:
    desk.correct(2, CHANGED, rewrite=True)
    run = desk._taken()
    cut = regenerations.Cut(len(ONE), ONE, None)
    regenerations.offer(desk.db, regenerations.Candidate(run.id, run.attempt, 1, cut, False))
    desk.choose(1)
    desk.undo()
    assert desk.run.state is RunState.QUEUED
    work = regenerations.start(
        desk.db, regeneration_id=desk.run.id, worker="w", policy_id=run.policy_id or 0, lease_s=9
    )
    assert work is not None
    assert work.candidates == (0, 2)


def test_keeping_what_follows_asks_for_new_candidates_after_it(offering: Desk) -> None:
    offering.correct(1, "## Slide 1\nHello.")
    run = offering.run
    assert (run.state, run.candidates, len(offering.texts)) == (RunState.QUEUED, 3, 2)
    assert offering.offered() == []


def test_an_unfinished_choice_is_named_when_one_wants_to_finish(offering: Desk) -> None:
    with pytest.raises(Conflict, match="Choose a candidate, or press Stop"):
        assignment.finish(offering.db, draft=offering.draft, base_version=offering.draft.version)
    correction.stop(offering.db, draft=offering.draft, regeneration_id=offering.run.id)
    assignment.finish(offering.db, draft=offering.draft, base_version=offering.draft.version)


def test_continuing_again_offers_candidates_too(offering: Desk) -> None:
    correction.regenerate(
        offering.db,
        draft=offering.draft,
        base_version=offering.draft.version,
        segment_id=offering.at(1).id,
    )
    assert offering.run.candidates == 3
    assert offering.offered() == [], "those of another place are not offered here"


def test_the_choice_stands_in_the_history(offering: Desk) -> None:
    offering.choose(2)
    step = offering.db.scalars(
        select(Revision).where(Revision.draft_id == offering.draft.id).order_by(Revision.version)
    ).all()[-1]
    assert (step.action, step.segment_id) == (Action.CHOOSE, offering.at(3).id)
    seen = history.history(offering.db, draft=offering.draft, segment_id=offering.at(3).id)
    assert [version.candidate for version in seen.versions] == [True, True, True]
    assert seen.versions[1].current


def test_the_page_shows_the_candidates_by_their_digits(offering: Desk) -> None:
    run = workspace.workspace(offering.db, draft=offering.draft).run
    assert run is not None
    assert [(one.key, one.text) for one in run.candidates] == [
        (key, text.strip()) for key, text in enumerate((ONE, TWO, THREE), start=1)
    ]
    offering.choose(1)
    run = workspace.workspace(offering.db, draft=offering.draft).run
    assert run is not None
    assert (run.candidates, run.wanted_candidates) == ((), 0)


def test_a_project_without_candidates_writes_at_once(db: Session) -> None:
    desk = make_desk(db)
    desk.correct(2, CHANGED, rewrite=True)
    assert desk.run.candidates == 0
    desk.write("Text.\n")
    assert not db.scalars(select(Correction).where(Correction.kind == Kind.CHOICE)).all()
    assert not db.scalars(select(Regeneration).where(Regeneration.candidates > 0)).all()
