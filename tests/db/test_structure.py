"""Insert, delete, split, merge: forks that keep every character."""

import pytest

from app.annotation.edits import reversal, structure
from app.domain.corrections import Kind, Verdict
from app.refusals import Invalid
from tests.db.conftest import Desk
from tests.support.factories import SLIDES


def split(desk: Desk, number: int, at: int) -> int:
    return structure.split(
        desk.db,
        draft=desk.draft,
        base_version=desk.draft.version,
        segment_id=desk.at(number).id,
        at=at,
    )


def merge(desk: Desk, number: int) -> int:
    return structure.merge(
        desk.db,
        draft=desk.draft,
        base_version=desk.draft.version,
        segment_id=desk.at(number).id,
    )


def undo(desk: Desk) -> None:
    reversal.undo(desk.db, draft=desk.draft, base_version=desk.draft.version)


def test_an_inserted_segment_is_preferred_over_the_one_it_pushes_down(desk: Desk) -> None:
    pushed = desk.at(2)
    added = desk.insert(1, "An outline of the lecture.")
    (pair,) = desk.pairs
    assert (pair.kind, pair.chosen_id, pair.rejected_id) == (Kind.INSERT, added, pushed.id)
    assert desk.texts == [SLIDES[0], "An outline of the lecture.\n\n", *SLIDES[1:]]


def test_a_segment_can_be_inserted_at_the_very_beginning(desk: Desk) -> None:
    desk.insert(0, "Good morning.")
    assert desk.texts == ["Good morning.\n\n", *SLIDES]


def test_what_follows_a_deleted_segment_moves_up(desk: Desk) -> None:
    gone = desk.at(2)
    desk.delete(2)
    assert desk.texts == [SLIDES[0], *SLIDES[2:]]
    assert desk.pairs == []
    desk.accept(2)
    (pair,) = desk.pairs
    assert (pair.kind, pair.chosen_id, pair.rejected_id) == (Kind.DELETE, desk.at(2).id, gone.id)


def test_deleting_the_last_segment_makes_no_pair(desk: Desk) -> None:
    desk.delete(4)
    assert desk.texts == list(SLIDES[:3])
    assert desk.pairs == []


def test_deleting_and_rewriting_makes_its_pair_when_the_follower_is_accepted(desk: Desk) -> None:
    gone = desk.at(2)
    desk.delete(2, rewrite=True)
    desk.write("## Slide 3\nThe table, told anew.\n\n")
    assert desk.pairs == []
    desk.accept(2)
    (pair,) = desk.pairs
    assert (pair.kind, pair.chosen_id, pair.rejected_id) == (Kind.DELETE, desk.at(2).id, gone.id)


def test_a_corrected_follower_is_preferred_over_both_texts(desk: Desk) -> None:
    gone = desk.at(2)
    desk.delete(2, rewrite=True)
    desk.write("## Slide 3\nThe table, told anew.\n\n")
    written = desk.at(2)
    chosen = desk.correct(2, "## Slide 3\nThe table, told by hand.")
    assert {(pair.kind, pair.chosen_id, pair.rejected_id) for pair in desk.pairs} == {
        (Kind.REWRITE, chosen, written.id),
        (Kind.DELETE, chosen, gone.id),
    }


@pytest.mark.parametrize("at", [1, 10, 11, 12, 20, len(SLIDES[1]) - 3])
def test_a_split_only_draws_a_boundary(desk: Desk, at: int) -> None:
    split(desk, 2, at)
    assert "".join(desk.texts) == "".join(SLIDES)
    assert len(desk.texts) == 5
    assert not desk.at(3).text.startswith("\n")
    assert desk.pairs == []


@pytest.mark.parametrize("at", [0, len(SLIDES[1])])
def test_a_split_without_a_second_part_is_refused(desk: Desk, at: int) -> None:
    with pytest.raises(Invalid):
        split(desk, 2, at)


def test_a_merge_only_removes_a_boundary(desk: Desk) -> None:
    joined = merge(desk, 2)
    assert desk.texts == [SLIDES[0], SLIDES[1] + SLIDES[2], SLIDES[3]]
    assert desk.at(2).id == joined
    assert desk.pairs == []


def test_a_merge_with_the_last_segment_ends_the_output(desk: Desk) -> None:
    merge(desk, 3)
    assert desk.at(3).ends_output


def test_the_last_segment_cannot_be_merged(desk: Desk) -> None:
    with pytest.raises(Invalid):
        merge(desk, 4)


def test_split_parts_keep_the_verdict(desk: Desk) -> None:
    desk.accept(2)
    split(desk, 2, 10)
    verdicts = desk.now.verdicts
    assert [verdicts.get(desk.at(number).id) for number in (2, 3)] == [Verdict.ACCEPTED] * 2


@pytest.mark.parametrize("change", ["insert", "delete", "split", "merge", "correct"])
def test_every_change_can_be_undone(desk: Desk, change: str) -> None:
    before = desk.now.path
    desk.accept(3)
    match change:
        case "insert":
            desk.insert(1, "An outline.")
        case "delete":
            desk.delete(2)
        case "split":
            split(desk, 2, 12)
        case "merge":
            merge(desk, 2)
        case _:
            desk.correct(2, "## Slide 2\nAnother text.")
    undo(desk)
    assert desk.now.path == before
    assert desk.now.verdicts == {desk.at(3).id: Verdict.ACCEPTED}
    assert desk.pairs == []


def test_undoing_the_correction_of_a_follower_gives_the_pair_back_to_the_follower(
    desk: Desk,
) -> None:
    desk.delete(2)
    desk.accept(2)
    (before,) = desk.pairs
    desk.correct(2, "## Slide 3\nThe table, told by hand.")
    assert sorted(pair.kind for pair in desk.pairs) == [Kind.DELETE, Kind.REWRITE]
    undo(desk)
    assert [pair.id for pair in desk.pairs] == [before.id]


def test_a_pair_of_a_deletion_undone_is_made_again_by_the_next_acceptance(desk: Desk) -> None:
    desk.delete(2, rewrite=True)
    desk.write("## Slide 3\nThe table, told anew.\n\n")
    desk.correct(2, "## Slide 3\nThe table, told by hand.")
    undo(desk)
    assert desk.pairs == []
    desk.accept(2)
    assert [(pair.kind, pair.chosen_id) for pair in desk.pairs] == [(Kind.DELETE, desk.at(2).id)]


def test_nothing_is_put_after_the_segment_that_ends_the_output(desk: Desk) -> None:
    desk.correct(4, "## Slide 4\nGoodbye.\n")
    with pytest.raises(Invalid, match="ends here"):
        desk.insert(4, "One more thing.")
