"""What the workspace shows: states, differences, runs, history, both sides of a conflict."""

import pytest

from app.annotation.edits import unsaved
from app.annotation.views import history, workspace
from app.annotation.views.values import State
from app.domain.diffs import Change, Op
from app.models import RunState, Sample
from app.refusals import Invalid, NotFound
from tests.db.conftest import Desk
from tests.support.factories import SLIDES, add_draft, add_project, add_sample, add_user


def states(desk: Desk) -> list[State]:
    return [segment.state for segment in workspace.workspace(desk.db, draft=desk.draft).segments]


def keep(desk: Desk, number: int, text: str, at_ms: int = 1) -> None:
    unsaved.keep_unsaved(
        desk.db,
        draft=desk.draft,
        segment_id=desk.at(number).id,
        text=text,
        typed_at_ms=at_ms,
    )


def test_every_segment_shows_its_state(desk: Desk) -> None:
    desk.accept(1)
    desk.correct(2, "## Slide 2\nAnother text.")
    assert states(desk) == [State.ACCEPTED, State.EDITED, State.UNTOUCHED, State.UNTOUCHED]


def test_an_edited_segment_shows_the_difference_from_the_models_text(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nThe chart shows 21 percent.")
    segment = workspace.workspace(desk.db, draft=desk.draft).segments[1]
    assert segment.original == SLIDES[1].rstrip()
    assert segment.changes is not None
    assert [change.text for change in segment.changes if change.op is Op.INSERT] == ["21"]
    assert [change.text for change in segment.changes if change.op is Op.DELETE] == ["12"]


def test_what_a_run_wrote_is_new_until_it_is_reviewed(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    desk.write("## Slide 3\nWritten.\n\n")
    desk.write("## Slide 4\nWritten.")
    desk.accept(3)
    assert states(desk) == [State.UNTOUCHED, State.EDITED, State.ACCEPTED, State.NEW]


def test_the_run_and_what_it_superseded_are_told(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    desk.write("## Slide 3\nWritten.\n\n")
    view = workspace.workspace(desk.db, draft=desk.draft)
    assert view.run is not None
    assert view.superseded is not None
    assert (view.run.number, view.run.after_number, view.run.segments) == (2, 2, 1)
    assert view.run.state is RunState.RUNNING
    assert (view.superseded.number, view.superseded.count) == (1, 2)
    whole = workspace.superseded(desk.db, draft=desk.draft, regeneration_id=view.run.id)
    assert [segment.text for segment in whole.segments] == [text.rstrip() for text in SLIDES[2:]]


def test_text_that_is_no_segment_yet_is_shown_as_the_tail(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    desk.write("## Slide 3\nWritten.\n\n")
    desk.say("## Slide 4\nHalf a sen")
    view = workspace.workspace(desk.db, draft=desk.draft).run
    assert view is not None
    assert view.tail == "## Slide 4\nHalf a sen"
    assert view.after == f"{view.id}:{len('## Slide 3 Written.  ## Slide 4 Half a sen')}"


def test_the_editor_shows_the_typed_text_and_its_consequence(desk: Desk) -> None:
    desk.accept(3)
    keep(desk, 2, "## Slide 2\nTyped.")
    editor = workspace.editor(desk.db, draft=desk.draft, segment_id=desk.at(2).id)
    assert editor.text == "## Slide 2\nTyped."
    assert editor.base == SLIDES[1].rstrip()
    assert (editor.following, editor.reviewed) == (2, 1)


def test_what_a_person_wrote_is_compared_with_itself_where_no_text_of_a_model_stands(
    desk: Desk,
) -> None:
    desk.correct(3, "## Slide 3\nMine.")
    first = workspace.editor(desk.db, draft=desk.draft, segment_id=desk.at(3).id)
    assert (first.base, first.of_model, first.makes_pair) == (SLIDES[2].rstrip(), True, True)
    # A copy below another prefix is compared with itself; its correction is a pair all the same.
    desk.correct(2, "## Slide 2\nMine.")
    copy = workspace.editor(desk.db, draft=desk.draft, segment_id=desk.at(3).id)
    assert (copy.base, copy.of_model, copy.makes_pair) == ("## Slide 3\nMine.", False, True)
    chosen = desk.correct(3, "## Slide 3\nMine, and better.")
    assert [pair.chosen_id for pair in desk.pairs] == [desk.at(2).id, chosen]
    # Nor does a text of the model stand where a segment was inserted, but its pair goes on.
    desk.insert(3, "## Slide 3b\nBetween.\n\n")
    added = workspace.editor(desk.db, draft=desk.draft, segment_id=desk.at(4).id)
    assert added.base == "## Slide 3b\nBetween."
    assert added.changes == (Change(Op.EQUAL, added.base),)
    assert (added.of_model, added.makes_pair) == (False, True)


def test_a_late_autosave_never_replaces_a_newer_text(desk: Desk) -> None:
    keep(desk, 2, "newer", at_ms=20)
    keep(desk, 2, "older", at_ms=10)
    assert workspace.editor(desk.db, draft=desk.draft, segment_id=desk.at(2).id).text == "newer"


def test_text_typed_for_a_segment_that_left_the_path_is_offered(desk: Desk) -> None:
    keep(desk, 3, "typed before the text changed")
    desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    (orphan,) = workspace.workspace(desk.db, draft=desk.draft).orphans
    assert orphan.unsaved == "typed before the text changed"


def test_accepting_keeps_the_typed_text(desk: Desk) -> None:
    keep(desk, 2, "typed")
    desk.accept(2)
    assert workspace.segment(desk.db, draft=desk.draft, segment_id=desk.at(2).id).unsaved == "typed"


def test_text_of_another_sample_cannot_be_kept(desk: Desk) -> None:
    other = add_sample(desk.db, project=add_project(desk.db, desk.user))
    assert other.head_id is not None
    with pytest.raises(NotFound):
        unsaved.keep_unsaved(
            desk.db, draft=desk.draft, segment_id=other.head_id, text="x", typed_at_ms=1
        )


@pytest.mark.parametrize("index", [-1, 4])
def test_a_segment_is_linked_with_an_image_of_its_sample_only(desk: Desk, index: int) -> None:
    with pytest.raises(Invalid):
        unsaved.link_image(desk.db, draft=desk.draft, segment_id=desk.at(1).id, image_index=index)


def test_a_changed_image_link_and_a_note_stay_with_the_segment(desk: Desk) -> None:
    step = desk.at(1)
    unsaved.link_image(desk.db, draft=desk.draft, segment_id=step.id, image_index=3)
    unsaved.note(desk.db, draft=desk.draft, segment_id=step.id, text="Check the number.")
    view = workspace.segment(desk.db, draft=desk.draft, segment_id=step.id)
    assert (view.image_index, view.note) == (3, "Check the number.")


def test_two_continuations_are_compared_row_by_row(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nAnother text.", rewrite=True)
    run = desk.draft.regeneration_id
    assert run is not None
    desk.write("## Slide 3\nThe table has four rows.\n\n")
    desk.write(SLIDES[3], stop_reason="stop")
    view = history.comparison(desk.db, draft=desk.draft, regeneration_id=run)
    assert (view.old_run, view.new_run, view.after_number) == (1, 2, 2)
    assert [(row.old_number, row.new_number, row.same) for row in view.rows] == [
        (3, 3, False),
        (4, 4, True),
    ]


def test_the_history_of_a_segment_lists_every_text_that_stood_there(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nFirst try.")
    last = desk.correct(2, "## Slide 2\nSecond try.")
    view = history.history(desk.db, draft=desk.draft, segment_id=last)
    assert [(version.text.splitlines()[1], version.current) for version in view.versions] == [
        ("Second try.", True),
        ("First try.", False),
        ("The chart shows 12 percent.", False),
    ]
    assert [step.action for step in view.revisions] == ["keep", "keep"]


def test_the_history_hides_what_another_annotator_wrote(desk: Desk) -> None:
    other = add_user(desk.db)
    sample = desk.db.get_one(Sample, desk.draft.sample_id)
    theirs = Desk(desk.db, add_draft(desk.db, sample=sample, user=other), other)
    theirs.correct(2, "## Slide 2\nTheirs.")
    view = history.history(desk.db, draft=desk.draft, segment_id=desk.at(2).id)
    assert [version.text for version in view.versions] == [SLIDES[1].rstrip()]


def test_a_conflict_shows_both_texts(desk: Desk) -> None:
    step = desk.at(2)
    desk.correct(2, "## Slide 2\nTheirs.")
    view = workspace.conflict(
        desk.db, draft=desk.draft, segment_id=step.id, mine="## Slide 2\nMine."
    )
    assert (view.theirs, view.mine, view.number) == ("## Slide 2\nTheirs.", "## Slide 2\nMine.", 2)
