"""What leaves follows the text: no pair for what its annotator has taken out since, one for each
change that is there, in every format of pairs, in the feed, and in what leaves beside them."""

from contextlib import nullcontext
from typing import NamedTuple

import orjson
import pytest
from sqlalchemy.orm import Session

from app.annotation.edits import assignment, correction, reversal, structure
from app.domain.corrections import Kind
from app.domain.filters import PairFilter
from app.exports.formats import PAIR_FORMATS, Rendering
from app.exports.jsonl import lines_of
from app.exports.judgements import judgements
from app.exports.outputs import outputs
from app.exports.reader import read_batch, read_pairs
from app.exports.selection import select_pairs
from app.models import Correction, Policy, Revision, Sample
from app.pairs import feed
from app.pairs import service as pairs
from tests.db.conftest import Desk, make_desk
from tests.support.factories import SLIDES

HUMAN = "## Slide 3\nThe table has four rows.\n\n"


class Preferred(NamedTuple):
    """A pair that leaves."""

    prefix: str
    chosen: str
    rejected: str
    kind: str
    on_policy: bool
    ends_output: bool


def project_id(desk: Desk) -> int:
    return desk.db.get_one(Sample, desk.draft.sample_id).project_id


def leaving(desk: Desk) -> list[Preferred]:
    """The pairs that leave; every format and the feed agree on them."""
    selection = select_pairs(desk.db, PairFilter(), [project_id(desk)])
    found = read_batch(desk.db, selection.ids)
    texts = sorted((one.chosen.text, one.rejected.text) for one in found)
    for name in ("raw", "trl"):
        form = PAIR_FORMATS[name]
        rows = [
            orjson.loads(line)
            for one in found
            for line in lines_of(form, form.rows, Rendering(folder=name))(one)
        ]
        ends = ("chosen", "rejected") if name == "raw" else ("segment_chosen", "segment_rejected")
        assert sorted((row[ends[0]], row[ends[1]]) for row in rows) == texts
    window = feed.read_on(desk.db, PairFilter(), [project_id(desk)], after=0, limit=100)
    sent = read_pairs(lambda: nullcontext(desk.db), iter([window.ids]))
    assert sorted((one.chosen.text, one.rejected.text) for one in sent) == texts
    return sorted(
        Preferred(
            one.prefix.text,
            one.chosen.text,
            one.rejected.text,
            one.kind.value,
            one.on_policy,
            one.ends_output,
        )
        for one in found
    )


def kto(desk: Desk) -> list[tuple[str, str, bool]]:
    return [(one.prefix, one.text, one.accepted) for _, one in judgements(desk.db, [desk.draft.id])]


def split(desk: Desk, number: int, at: int) -> None:
    structure.split(
        desk.db,
        draft=desk.draft,
        base_version=desk.draft.version,
        segment_id=desk.at(number).id,
        at=at,
    )


def merge(desk: Desk, number: int) -> None:
    structure.merge(
        desk.db,
        draft=desk.draft,
        base_version=desk.draft.version,
        segment_id=desk.at(number).id,
    )


def rested(desk: Desk) -> int:
    """What the page says of the last step."""
    return desk.db.get_one(Revision, (desk.draft.id, desk.draft.version)).rested


ABOVE = SLIDES[0] + SLIDES[1]


def test_a_corrected_text_that_was_deleted_is_not_preferred(desk: Desk) -> None:
    desk.correct(3, HUMAN)
    (before,) = desk.pairs
    desk.delete(3)
    assert leaving(desk) == []
    assert rested(desk) == 1
    desk.accept(3)
    assert leaving(desk) == [Preferred(ABOVE, SLIDES[3], SLIDES[2], "delete", True, False)]
    assert rested(desk) == 0
    desk.undo()
    desk.undo()
    assert [pair.id for pair in desk.pairs] == [before.id]


def test_a_half_of_a_correction_that_is_corrected_makes_the_whole_another(desk: Desk) -> None:
    desk.correct(3, HUMAN)
    (whole,) = leaving(desk)
    split(desk, 3, len("## Slide 3\n"))
    assert leaving(desk) == [whole]
    desk.correct(4, "The table has five rows.\n\n")
    (better,) = leaving(desk)
    assert better == whole._replace(chosen="## Slide 3\nThe table has five rows.\n\n")
    assert better.on_policy
    assert rested(desk) == 0
    desk.undo()
    assert leaving(desk) == [whole]


def test_both_halves_of_a_models_text_are_changes_of_their_own(desk: Desk) -> None:
    split(desk, 3, len("## Slide 3\n"))
    desk.correct(4, "The table has five rows.\n\n")
    desk.correct(3, "## Slide three\n")
    first, second = leaving(desk)
    assert (first.prefix, first.chosen, first.rejected) == (
        ABOVE,
        "## Slide three\n",
        "## Slide 3\n",
    )
    assert (second.prefix, second.rejected) == (ABOVE + "## Slide 3\n", SLIDES[2][11:])
    assert (first.on_policy, second.on_policy) == (True, True)


def test_a_merged_text_that_is_corrected_replaces_what_the_model_wrote_there(desk: Desk) -> None:
    desk.correct(4, "## Slide 4\nGoodbye.")
    (last,) = leaving(desk)
    merge(desk, 3)
    assert leaving(desk) == [last]
    desk.correct(3, "## Slides 3 and 4\nThe table has three rows. Goodbye.")
    assert leaving(desk) == [
        Preferred(
            ABOVE,
            "## Slides 3 and 4\nThe table has three rows. Goodbye.",
            SLIDES[2] + SLIDES[3],
            "rewrite",
            True,
            True,
        )
    ]
    desk.undo()
    assert leaving(desk) == [last]


def test_a_copy_of_a_persons_text_makes_a_pair_when_it_is_corrected_again(desk: Desk) -> None:
    desk.correct(3, HUMAN)
    desk.correct(2, "## Slide 2\nAnother text.\n\n")
    third = "## Slide 3\nThe table has five rows.\n\n"
    desk.correct(3, third)
    upper, lower = leaving(desk)
    assert (upper.chosen, upper.rejected, upper.on_policy) == (
        "## Slide 2\nAnother text.\n\n",
        SLIDES[1],
        True,
    )
    assert lower == Preferred(
        SLIDES[0] + "## Slide 2\nAnother text.\n\n", third, SLIDES[2], "rewrite", False, False
    )


def test_what_is_rewritten_displaces_pairs_and_restoring_brings_them_back(desk: Desk) -> None:
    desk.correct(3, HUMAN)
    before = leaving(desk)
    desk.correct(2, "## Slide 2\nAnother text.\n\n", rewrite=True)
    run = desk.draft.regeneration_id or 0
    assert rested(desk) == 1
    desk.write("## Slide 3\nWritten again.\n\n", stop_reason="stop")
    assert [one.rejected for one in leaving(desk)] == [SLIDES[1]]
    reversal.restore(
        desk.db, draft=desk.draft, base_version=desk.draft.version, regeneration_id=run
    )
    assert [one for one in leaving(desk) if one.rejected == SLIDES[2]] == before
    assert len(leaving(desk)) == 2


def test_a_deleted_correction_is_not_preferred_while_its_follower_is_written_again(
    desk: Desk,
) -> None:
    desk.correct(3, HUMAN)
    desk.delete(3, rewrite=True)
    desk.write("## Slide 4\nThat was all.", stop_reason="stop")
    assert leaving(desk) == []
    desk.accept(3)
    assert leaving(desk) == [
        Preferred(ABOVE, "## Slide 4\nThat was all.", SLIDES[2], "delete", True, False)
    ]


def test_an_inserted_text_that_is_merged_and_corrected_is_one_change(desk: Desk) -> None:
    desk.insert(2, "An outline.")
    (inserted,) = leaving(desk)
    assert (inserted.kind, inserted.rejected) == ("insert", SLIDES[2])
    merge(desk, 3)
    assert leaving(desk) == [inserted]
    desk.correct(3, "An outline of the table.\n\n")
    assert leaving(desk) == [
        Preferred(ABOVE, "An outline of the table.\n\n", SLIDES[2], "rewrite", True, False)
    ]


def test_an_inserted_text_that_was_deleted_leaves_nothing(desk: Desk) -> None:
    desk.insert(2, "An outline.")
    desk.delete(3)
    desk.accept(3)
    assert leaving(desk) == []


def test_what_an_admin_took_back_stays_so_through_split_and_merge(desk: Desk) -> None:
    desk.correct(3, HUMAN)
    (pair,) = desk.pairs
    pairs.retract(
        desk.db,
        project_id=project_id(desk),
        pair_id=pair.id,
        reason="Wrong.",
        actor_id=desk.user.id,
    )
    split(desk, 3, 5)
    merge(desk, 3)
    desk.accept(3)
    assert leaving(desk) == []
    desk.correct(3, "## Slide 3\nThe table has five rows.\n\n")
    assert [one.rejected for one in leaving(desk)] == [SLIDES[2]]


def test_a_choice_rests_while_the_candidate_is_out_of_the_text(db: Session) -> None:
    desk = make_desk(db, candidates=2)
    desk.correct(2, "## Slide 2\nAnother text.\n\n", rewrite=True)
    desk.offer("## Slide 3\nOne.\n\n", "## Slide 3\nTwo.\n\n")
    desk.choose(1)
    (choice,) = [pair for pair in desk.pairs if pair.kind is Kind.CHOICE]
    split(desk, 3, len("## Slide 3\n"))
    desk.correct(1, "## Slide 1\nHello.\n\n")
    assert choice.id in [pair.id for pair in desk.pairs], "a copy of it is in the text"
    desk.correct(4, "Three.\n\n")
    assert choice.id not in [pair.id for pair in desk.pairs]
    desk.undo()
    assert choice.id in [pair.id for pair in desk.pairs]


def test_a_choice_that_is_made_again_is_one_pair(db: Session) -> None:
    desk = make_desk(db, candidates=2)
    desk.correct(2, "## Slide 2\nAnother text.\n\n", rewrite=True)
    desk.offer("## Slide 3\nOne.\n\n", "## Slide 3\nTwo.\n\n")
    for key in (1, 2, 1):
        desk.choose(key)
        (choice,) = [pair for pair in desk.pairs if pair.kind is Kind.CHOICE]
        assert choice.chosen_id == desk.at(3).id
        if key == 1:
            first = choice.id
        desk.undo()
    assert choice.id == first


def test_what_was_written_before_a_boundary_was_moved_is_on_policy_still(desk: Desk) -> None:
    split(desk, 2, len("## Slide 2\n"))
    merge(desk, 4)
    desk.accept(3)
    desk.correct(4, "## Slide 3\nThe rest.")
    (pair,) = leaving(desk)
    assert (pair.rejected, pair.on_policy) == (SLIDES[2] + SLIDES[3], True)
    (said,) = [one for _, one in judgements(desk.db, [desk.draft.id])]
    assert (said.text, said.on_policy) == (SLIDES[1][11:], True)


def test_a_text_of_two_policies_is_no_policys_own(desk: Desk) -> None:
    correction.regenerate(
        desk.db, draft=desk.draft, base_version=desk.draft.version, segment_id=desk.at(3).id
    )
    desk.write("## Slide 4\nThat was all.", stop_reason="stop")
    merge(desk, 3)
    desk.correct(3, "## Slide 3\nThe rest.")
    assert [one.on_policy for one in leaving(desk)] == [False]


def test_the_replay_engine_writes_for_no_policy_in_halves_either(desk: Desk, db: Session) -> None:
    policy = db.get_one(Policy, desk.at(2).policy_id or 0)
    policy.engine = "replay"
    db.flush()
    split(desk, 2, len("## Slide 2\n"))
    desk.correct(3, "The chart shows 21 percent.\n\n")
    assert [one.on_policy for one in leaving(desk)] == [False]


def test_a_part_that_reads_as_the_replaced_text_is_not_learned_as_right(desk: Desk) -> None:
    desk.correct(3, SLIDES[2] + "It has a head, too.\n\n")
    split(desk, 3, len(SLIDES[2]))
    assignment.finish(desk.db, draft=desk.draft, base_version=desk.draft.version)
    (found,) = [one for _, one in outputs(desk.db, [desk.draft.id])]
    assert [one.verdict is None for one in found.segments] == [True, True, True, False, True]
    (pair,) = leaving(desk)
    assert (pair.chosen, pair.rejected) == (SLIDES[2] + "It has a head, too.\n\n", SLIDES[2])


def test_a_deleted_text_that_a_person_puts_back_is_not_rejected(desk: Desk) -> None:
    desk.delete(2)
    assert kto(desk) == [(SLIDES[0], SLIDES[1], False)]
    desk.insert(1, SLIDES[1])
    assert kto(desk) == []


@pytest.mark.parametrize("number", [1, 4])
def test_unchanged_texts_make_no_pairs_however_they_are_cut(desk: Desk, number: int) -> None:
    split(desk, number, 12)
    merge(desk, number)
    for at in range(1, 5):
        desk.accept(at)
    assert leaving(desk) == []
    assert desk.db.query(Correction).count() == 0


def test_the_first_of_two_deleted_texts_has_the_pair_that_the_second_has(desk: Desk) -> None:
    desk.delete(2)
    desk.delete(2)
    desk.accept(2)
    assert [(one.chosen, one.rejected, one.prefix) for one in leaving(desk)] == [
        (SLIDES[3], SLIDES[1], SLIDES[0]),
        (SLIDES[3], SLIDES[2], SLIDES[0]),
    ]


def test_a_pair_that_rests_is_counted_among_those_taken_back(desk: Desk) -> None:
    desk.correct(3, HUMAN)
    (pair,) = desk.pairs
    desk.delete(3)
    selection = select_pairs(desk.db, PairFilter(), [project_id(desk)])
    assert list(selection.taken_back) == [pair.id]
