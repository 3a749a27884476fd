"""Whole outputs are what finished drafts hold, to the character."""

from app.annotation.edits import assignment
from app.domain.corrections import Verdict
from app.domain.filters import PairFilter
from app.domain.formats import WholeOutput
from app.domain.tree import Origin
from app.exports.items import OUTPUTS
from app.exports.outputs import outputs
from app.models import Sample
from tests.db.conftest import Desk
from tests.support.factories import SLIDES


def found(desk: Desk) -> list[WholeOutput]:
    sample = desk.db.get_one(Sample, desk.draft.sample_id)
    chosen = OUTPUTS.select(desk.db, PairFilter(), [sample.project_id])
    return [output for _, output in outputs(desk.db, chosen.ids)]


def finish(desk: Desk) -> None:
    assignment.finish(desk.db, draft=desk.draft, base_version=desk.draft.version)


def test_a_draft_is_an_output_once_it_is_finished(desk: Desk) -> None:
    assert found(desk) == []
    finish(desk)
    assert [output.text for output in found(desk)] == ["".join(SLIDES)]
    assignment.reopen(desk.db, draft=desk.draft)
    assert found(desk) == []


def test_an_output_is_the_corrected_text_with_what_was_said_of_it(desk: Desk) -> None:
    desk.accept(1)
    desk.correct(2, "## Slide 2\nThe chart shows 21 percent.")
    finish(desk)
    (output,) = found(desk)
    assert output.text == "".join(desk.texts)
    assert [(segment.origin, segment.verdict) for segment in output.segments] == [
        (Origin.MODEL, Verdict.ACCEPTED),
        (Origin.HUMAN, Verdict.CORRECTED),
        (Origin.MODEL, None),
        (Origin.MODEL, None),
    ]
    assert output.ends_output
    assert len(output.images) == len(output.image_files) == 4
    assert output.finished_at == desk.draft.finished_at


def test_an_output_whose_end_was_deleted_is_not_known_to_be_whole(desk: Desk) -> None:
    desk.delete(4)
    finish(desk)
    (output,) = found(desk)
    assert output.text == "".join(SLIDES[:3])
    assert not output.ends_output


def test_a_regenerated_output_is_that_of_its_run(desk: Desk) -> None:
    desk.correct(1, "## Slide 1\nHello.", rewrite=True)
    desk.write("## Slide 2\nThe end.", stop_reason="stop")
    finish(desk)
    (output,) = found(desk)
    assert output.text == "## Slide 1\nHello.\n\n## Slide 2\nThe end."
    assert output.ends_output
