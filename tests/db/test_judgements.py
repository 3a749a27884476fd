"""What counts as an annotator's judgement of a segment, and what does not."""

import pytest
from sqlalchemy.orm import Session

from app.annotation.edits import assignment, reversal, structure
from app.domain.filters import PairFilter
from app.domain.formats import Judgement
from app.domain.prompts import Template
from app.exports.draft_texts import BATCH
from app.exports.items import JUDGEMENTS
from app.exports.judgements import judgements
from app.models import Project
from tests.db.conftest import Desk
from tests.support.factories import SLIDES, add_draft, add_project, add_sample, add_user


def found(desk: Desk) -> list[Judgement]:
    return [judgement for _, judgement in judgements(desk.db, [desk.draft.id])]


def said(desk: Desk) -> list[tuple[str, bool]]:
    return [(one.text, one.accepted) for one in found(desk)]


def undo(desk: Desk) -> None:
    reversal.undo(desk.db, draft=desk.draft, base_version=desk.draft.version)


def test_an_accepted_segment_is_a_judgement_with_its_prefix(desk: Desk) -> None:
    desk.accept(1)
    desk.accept(2)
    first, second = found(desk)
    assert (first.text, first.accepted, first.prefix, first.position) == (SLIDES[0], True, "", 0)
    assert (second.text, second.prefix, second.position) == (SLIDES[1], SLIDES[0], 1)
    assert second.on_policy
    assert not second.paired
    assert not second.ends_output
    assert len(second.images) == len(second.image_files) == 4
    assert second.annotator == desk.user.name


def test_the_last_segment_ends_the_output_when_it_is_accepted(desk: Desk) -> None:
    desk.accept(4)
    (last,) = found(desk)
    assert last.ends_output


def test_what_a_person_wrote_is_no_judgement_of_a_model(desk: Desk) -> None:
    desk.correct(1, "## Slide 1\nHello.")
    desk.insert(1, "Something else.")
    assert found(desk) == []


def test_an_acceptance_that_was_undone_is_none(desk: Desk) -> None:
    desk.accept(1)
    undo(desk)
    assert found(desk) == []


def test_an_acceptance_that_a_regeneration_displaced_is_none(desk: Desk) -> None:
    desk.accept(1)
    desk.accept(2)
    desk.correct(1, "## Slide 1\nHello.", rewrite=True)
    assert found(desk) == []


def test_an_acceptance_that_was_carried_below_a_correction_stands_once(desk: Desk) -> None:
    desk.accept(2)
    desk.correct(1, "## Slide 1\nHello.")
    (copy,) = found(desk)
    assert (copy.text, copy.prefix) == (SLIDES[1], "## Slide 1\nHello.\n\n")
    assert not copy.on_policy


def test_a_deleted_segment_is_rejected(desk: Desk) -> None:
    desk.delete(2)
    (deleted,) = found(desk)
    assert (deleted.text, deleted.accepted, deleted.prefix) == (SLIDES[1], False, SLIDES[0])
    assert deleted.position == 1
    assert deleted.on_policy
    assert not deleted.paired


def test_a_deleted_last_segment_ends_no_output(desk: Desk) -> None:
    desk.delete(4)
    (deleted,) = found(desk)
    assert not deleted.accepted
    assert not deleted.ends_output


def test_a_deletion_that_is_a_pair_too_says_so(desk: Desk) -> None:
    desk.delete(2)
    desk.accept(2)
    deleted, follower = found(desk)
    assert [(one.accepted, one.paired) for one in (deleted, follower)] == [
        (False, True),
        (True, True),
    ]


def test_a_deletion_that_was_undone_is_none(desk: Desk) -> None:
    desk.delete(2)
    undo(desk)
    assert found(desk) == []


def test_a_deletion_stays_when_the_text_before_it_is_corrected(desk: Desk) -> None:
    """As a pair does: it was said under the prefix that it is exported with."""
    desk.delete(2)
    desk.correct(1, "## Slide 1\nHello.")
    (deleted,) = found(desk)
    assert (deleted.text, deleted.prefix) == (SLIDES[1], SLIDES[0])


def test_a_deleted_text_that_the_model_writes_again_is_not_rejected(desk: Desk) -> None:
    desk.delete(2, rewrite=True)
    assert said(desk) == [(SLIDES[1], False)]
    desk.write(SLIDES[1])
    assert said(desk) == []
    desk.accept(2)
    assert said(desk) == [(SLIDES[1], True)]


def test_what_a_person_wrote_and_deleted_is_no_judgement(desk: Desk) -> None:
    desk.insert(1, "Something else.")
    desk.delete(2)
    assert found(desk) == []


def test_a_replaced_run_is_no_rejection(desk: Desk) -> None:
    desk.correct(1, "## Slide 1\nHello.", rewrite=True)
    desk.write("## Slide 2\nOne.\n\n")
    desk.correct(1, "## Slide 1\nHello again.", rewrite=True)
    desk.write("## Slide 2\nTwo.\n\n")
    assert found(desk) == []


def test_parts_of_a_split_are_judged_by_themselves(desk: Desk) -> None:
    structure.split(
        desk.db,
        draft=desk.draft,
        base_version=desk.draft.version,
        segment_id=desk.at(1).id,
        at=len("## Slide 1\n"),
    )
    desk.accept(2)
    assert said(desk) == [("Welcome to the lecture.\n\n", True)]


def test_judgements_come_by_draft_and_by_place(desk: Desk) -> None:
    desk.accept(3)
    desk.delete(2)
    desk.accept(1)
    assert said(desk) == [(SLIDES[0], True), (SLIDES[1], False), (SLIDES[2], True)]
    assert found(desk) == found(desk)


@pytest.fixture
def project(db: Session) -> Project:
    return add_project(db)


def test_more_drafts_than_a_batch_give_one_judgement_each(db: Session, project: Project) -> None:
    user = add_user(db)
    drafts = []
    for _ in range(2 * BATCH + 1):
        desk = Desk(db, add_draft(db, sample=add_sample(db, project=project), user=user), user)
        desk.accept(1)
        drafts.append(desk.draft.id)
    add_draft(db, sample=add_sample(db, project=add_project(db)), user=user)
    wanted = PairFilter()
    chosen = JUDGEMENTS.select(db, wanted, [project.id])
    found = [
        int(one.key.partition("-")[0])
        for ids in chosen.batches(BATCH)
        for one in JUDGEMENTS.read(db, ids, wanted, Template.QWEN2_5_VL)
    ]
    assert found == drafts


def test_a_finished_draft_still_counts(desk: Desk) -> None:
    desk.accept(1)
    assignment.finish(desk.db, draft=desk.draft, base_version=desk.draft.version)
    assert said(desk) == [(SLIDES[0], True)]
