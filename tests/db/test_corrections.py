"""Correcting and accepting: what becomes a pair, what follows, what is refused."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.annotation.edits import correction, reversal
from app.annotation.edits.assignment import finish, reopen
from app.annotation.edits.revision import Stale
from app.domain.corrections import Kind, Verdict
from app.models import Correction, Regeneration, RunState, Sample, Segment
from app.pairs import service as pairs
from app.refusals import Conflict, Forbidden, Invalid
from tests.db.conftest import Desk
from tests.support.factories import SLIDES


def test_a_correction_is_a_pair_of_siblings(desk: Desk) -> None:
    old = desk.at(2)
    chosen = desk.correct(2, "## Slide 2\nThe chart shows 21 percent.")
    (pair,) = desk.pairs
    assert (pair.chosen_id, pair.rejected_id, pair.parent_id) == (chosen, old.id, old.parent_id)
    assert pair.kind is Kind.REWRITE
    assert pair.on_policy


def test_a_correction_never_touches_the_prefix(desk: Desk) -> None:
    before = desk.now.path.steps[:2]
    desk.correct(2, "## Slide 2\nAnother text.")
    assert desk.now.path.steps[:2] == before


def test_the_newlines_that_end_a_segment_stay(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nAnother text.")
    assert desk.at(2).text == "## Slide 2\nAnother text.\n\n"


def test_saving_without_rewriting_copies_what_follows(desk: Desk) -> None:
    later = desk.now.path.steps[3:]
    desk.accept(3)
    desk.correct(2, "## Slide 2\nAnother text.")
    copies = desk.now.path.steps[3:]
    assert [copy.copied_from for copy in copies] == [step.id for step in later]
    assert [copy.text for copy in copies] == [step.text for step in later]
    assert desk.now.verdicts[copies[0].id] is Verdict.ACCEPTED
    assert desk.at(4).ends_output


def test_a_pair_against_a_copy_is_off_policy(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nAnother text.")
    desk.correct(3, "## Slide 3\nThe table has four rows.")
    assert [pair.on_policy for pair in desk.pairs] == [True, False]


def test_correcting_again_replaces_the_earlier_pair(desk: Desk) -> None:
    original = desk.at(2)
    desk.correct(2, "## Slide 2\nFirst try.")
    second = desk.correct(2, "## Slide 2\nSecond try.")
    (pair,) = desk.pairs
    assert (pair.chosen_id, pair.rejected_id) == (second, original.id)


def test_going_back_to_the_models_text_retracts_the_pair(desk: Desk) -> None:
    original = desk.at(2)
    desk.correct(2, "## Slide 2\nFirst try.")
    assert desk.correct(2, SLIDES[1].rstrip()) == original.id
    assert desk.pairs == []
    assert desk.now.verdicts[original.id] is Verdict.ACCEPTED
    assert desk.texts == list(SLIDES)


@pytest.fixture
def retracted(desk: Desk) -> Desk:
    """Segment 2 is corrected, and an admin has taken that pair back."""
    desk.correct(2, "## Slide 2\nA tpyo.")
    (pair,) = desk.pairs
    sample = desk.db.get_one(Sample, desk.draft.sample_id)
    pairs.retract(
        desk.db,
        project_id=sample.project_id,
        pair_id=pair.id,
        reason="The correction is wrong.",
        actor_id=desk.user.id,
    )
    return desk


def test_a_text_that_replaces_a_retracted_one_is_a_pair_of_its_own(
    retracted: Desk, db: Session
) -> None:
    (old,) = db.scalars(select(Correction)).all()
    chosen = retracted.correct(2, "## Slide 2\nA typo no more.")
    (new,) = retracted.pairs
    assert (new.chosen_id, new.rejected_id) == (chosen, old.rejected_id)
    assert new.kind is Kind.REWRITE
    # What the admin said of the old one stays said.
    assert (old.superseded_by, old.retract_reason) == (None, "The correction is wrong.")
    retracted.undo()
    assert retracted.pairs == []
    assert old.retracted_at is not None


def test_a_retraction_is_not_undone_by_the_models_text_and_undo(
    retracted: Desk, db: Session
) -> None:
    retracted.correct(2, SLIDES[1].rstrip("\n"))
    assert retracted.at(2).text == SLIDES[1]
    assert retracted.pairs == []
    retracted.undo()
    assert "tpyo" in retracted.at(2).text
    assert retracted.pairs == []


def test_an_unchanged_text_is_an_acceptance(desk: Desk) -> None:
    step = desk.at(2)
    assert desk.correct(2, SLIDES[1].rstrip("\n"), rewrite=True) == step.id
    assert desk.pairs == []
    assert desk.now.verdicts == {step.id: Verdict.ACCEPTED}


def test_accepting_twice_is_one_step(desk: Desk) -> None:
    desk.accept(1)
    version = desk.draft.version
    desk.accept(1)
    assert desk.draft.version == version


def test_saving_and_continuing_requests_one_regeneration(desk: Desk) -> None:
    leaf = desk.now.path.leaf
    chosen = desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    run = desk.db.get(Regeneration, desk.draft.regeneration_id)
    assert run is not None
    assert (run.anchor_id, run.displaced_id, run.displaced_depth) == (chosen, leaf.id, 2)
    assert (run.number, run.state) == (2, RunState.QUEUED)
    assert desk.now.path.leaf.id == chosen


def test_a_newer_correction_supersedes_a_running_regeneration(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    first = desk.draft.regeneration_id
    desk.correct(1, "## Slide 1\nGood morning.", rewrite=True)
    rows = desk.db.execute(select(Regeneration.id, Regeneration.state))
    states = {row.id: row.state for row in rows}
    assert states[first] is RunState.SUPERSEDED
    assert states[desk.draft.regeneration_id] is RunState.QUEUED


def test_the_last_segment_of_an_output_has_nothing_to_rewrite(desk: Desk) -> None:
    desk.correct(4, "## Slide 4\nGoodbye.", rewrite=True)
    assert desk.draft.regeneration_id is None
    assert desk.at(4).text == "## Slide 4\nGoodbye."
    assert desk.at(4).ends_output


def test_a_stale_save_is_refused_and_changes_nothing(desk: Desk) -> None:
    version, step = desk.draft.version, desk.at(2)
    desk.accept(1)
    with pytest.raises(Stale):
        correction.correct(
            desk.db,
            draft=desk.draft,
            base_version=version,
            segment_id=step.id,
            text="late",
            rewrite=False,
        )
    assert desk.texts == list(SLIDES)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("\n\nSlide", "empty line"),
        ("a\0b", "NUL"),
        ("stop <|im_end|> here", "<|im_end|>"),
    ],
)
def test_an_unusable_text_is_refused_with_its_reason(desk: Desk, text: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason.replace("|", r"\|")):
        desk.correct(2, text)
    assert desk.pairs == []


def test_a_segment_off_the_path_cannot_be_corrected(desk: Desk) -> None:
    gone = desk.at(3)
    desk.correct(2, "## Slide 2\nAnother text.")
    with pytest.raises(Conflict):
        correction.accept(
            desk.db, draft=desk.draft, base_version=desk.draft.version, segment_id=gone.id
        )


def test_a_finished_draft_refuses_changes(desk: Desk) -> None:
    finish(desk.db, draft=desk.draft, base_version=desk.draft.version)
    with pytest.raises(Forbidden):
        desk.accept(1)
    reopen(desk.db, draft=desk.draft)
    desk.accept(1)


def test_segments_are_only_ever_added(desk: Desk) -> None:
    before = set(desk.db.scalars(select(Segment.id)))
    desk.correct(2, "## Slide 2\nAnother text.")
    desk.correct(2, SLIDES[1].rstrip())
    assert before < set(desk.db.scalars(select(Segment.id)))


def test_undoing_a_second_continuation_keeps_the_correction_before_it(desk: Desk) -> None:
    chosen = desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    desk.write("## Slide 3\nWritten.\n\n", stop_reason="stop")
    path = desk.now.path
    correction.regenerate(
        desk.db, draft=desk.draft, base_version=desk.draft.version, segment_id=chosen
    )
    reversal.undo(desk.db, draft=desk.draft, base_version=desk.draft.version)
    assert [pair.chosen_id for pair in desk.pairs] == [chosen]
    assert desk.now.path == path


def test_restoring_brings_the_old_continuation_back_below_the_correction(desk: Desk) -> None:
    desk.accept(3)
    chosen = desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    run = desk.draft.regeneration_id
    assert run is not None
    desk.write("## Slide 3\nWritten.\n\n", stop_reason="stop")
    reversal.restore(
        desk.db, draft=desk.draft, base_version=desk.draft.version, regeneration_id=run
    )
    assert desk.texts == [SLIDES[0], "## Slide 2\nAnother text.\n\n", *SLIDES[2:]]
    assert desk.at(2).id == chosen
    assert desk.now.verdicts[desk.at(3).id] is Verdict.ACCEPTED
    assert len(desk.pairs) == 1


def test_undoing_a_restoration_brings_the_run_back(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    run = desk.draft.regeneration_id
    assert run is not None
    desk.write("## Slide 3\nWritten.\n\n", stop_reason="stop")
    path = desk.now.path
    reversal.restore(
        desk.db, draft=desk.draft, base_version=desk.draft.version, regeneration_id=run
    )
    reversal.undo(desk.db, draft=desk.draft, base_version=desk.draft.version)
    assert desk.now.path == path
    assert desk.draft.regeneration_id == run
