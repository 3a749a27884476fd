"""What is known of a model's certainty stays with its text, and with nothing else."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.annotation.edits import correction, reversal
from app.annotation.views import workspace
from app.domain.certainty import Certainty, WeakWord
from app.domain.tree import Origin
from app.models import Segment
from tests.db.conftest import Desk
from tests.db.test_structure import merge, split
from tests.support.factories import SLIDES, add_draft, add_policy, add_project, add_sample, add_user


def word(number: int, text: str) -> WeakWord:
    at = SLIDES[number - 1].index(text)
    return WeakWord(at, at + len(text), -2.0)


CERTAINTIES = {
    2: Certainty(-0.4, (word(2, "chart"), word(2, "12"))),
    3: Certainty(-0.7, (word(3, "three"),)),
    4: Certainty(-0.2, ()),
}


@pytest.fixture
def desk(db: Session) -> Desk:
    user = add_user(db)
    sample = add_sample(
        db, project=add_project(db, user), policy=add_policy(db), certainties=CERTAINTIES
    )
    return Desk(db, add_draft(db, sample=sample, user=user), user)


Known = tuple[float | None, list[str]]


def known(desk: Desk) -> list[Known]:
    """The certainty of each segment of the path, and its weak words as the text has them."""
    return [
        (segment.certainty, [text for text, weak in segment.pieces if weak is not None])
        for segment in workspace.workspace(desk.db, draft=desk.draft).segments
    ]


FIRST: Known = (None, [])
SECOND: Known = (-0.4, ["chart", "12"])
THIRD: Known = (-0.7, ["three"])
FOURTH: Known = (-0.2, [])


def test_it_is_read_with_the_segments_and_counted(desk: Desk) -> None:
    assert known(desk) == [FIRST, SECOND, THIRD, FOURTH]
    desk.accept(3)
    progress = workspace.progress(desk.db, draft=desk.draft)
    assert progress.knows_certainty
    assert progress.counts["unsure"] == 2


def test_copies_keep_it_and_a_persons_text_has_none(desk: Desk) -> None:
    desk.correct(2, "## Slide 2\nThe chart shows 21 percent.")
    assert known(desk) == [FIRST, (None, []), THIRD, FOURTH]
    reversal.undo(desk.db, draft=desk.draft, base_version=desk.draft.version)
    assert known(desk) == [FIRST, SECOND, THIRD, FOURTH]


def test_a_split_keeps_the_words_and_drops_the_mean(desk: Desk) -> None:
    split(desk, 2, len("## Slide 2\nThe chart shows"))
    assert known(desk) == [FIRST, (None, ["chart"]), (None, ["12"]), THIRD, FOURTH]


def test_a_merge_keeps_the_words_and_drops_the_mean(desk: Desk) -> None:
    merge(desk, 2)
    assert known(desk) == [FIRST, (None, ["chart", "12", "three"]), FOURTH]
    split(desk, 2, len(SLIDES[1]))
    assert known(desk) == [FIRST, (None, ["chart", "12"]), (None, ["three"]), FOURTH]


def test_a_tail_that_was_stopped_has_none(desk: Desk) -> None:
    desk.correct(3, "## Slide 3\nAnother text.", rewrite=True)
    desk.say("## Slide 4\nHalf a sen")
    assert desk.draft.regeneration_id is not None
    correction.stop(desk.db, draft=desk.draft, regeneration_id=desk.draft.regeneration_id)
    assert desk.texts[-1] == "## Slide 4\nHalf a sen"
    assert known(desk)[-1] == (None, [])


def test_a_probability_above_one_is_refused(desk: Desk, db: Session) -> None:
    parent = db.scalars(select(Segment).where(Segment.id == desk.at(4).id)).one()
    db.add(
        Segment(
            sample_id=parent.sample_id,
            parent_id=parent.id,
            depth=parent.depth + 1,
            text="More.",
            origin=Origin.MODEL,
            certainty=0.1,
        )
    )
    with pytest.raises(IntegrityError, match="certainty_is_a_logarithm"):
        db.flush()
