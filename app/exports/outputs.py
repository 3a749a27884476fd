"""Whole outputs: the texts of finished drafts, as their annotators left them."""

from collections.abc import Iterator, Sequence

from sqlalchemy.orm import Session

from app.domain.formats import OutputSegment, WholeOutput
from app.exports.draft_texts import DraftPath, draft_paths
from app.exports.pair_sides import Sides


def outputs(db: Session, ids: Sequence[int]) -> Iterator[tuple[DraftPath, WholeOutput]]:
    """The texts of these drafts, in that order; reopened drafts are left out.

    A text counts as whole (ends_output) when the model stopped after its last segment, or after the
    one that the annotator corrected there. A draft without segments has no output.
    """
    sides = Sides(db, ids)
    for draft in draft_paths(db, ids):
        if draft.segments and draft.finished_at is not None:
            yield draft, _output(draft, sides)


def _output(draft: DraftPath, sides: Sides) -> WholeOutput:
    if draft.finished_at is None:
        raise ValueError(f"Draft {draft.id} is not finished.")
    return WholeOutput(
        draft_id=draft.id,
        project=draft.project,
        sample=draft.sample,
        images=draft.images,
        image_files=draft.image_files,
        context=draft.context,
        instruction=draft.instruction,
        segments=tuple(_segments(draft, sides)),
        ends_output=draft.segments[-1].ends_output,
        annotator=draft.annotator,
        finished_at=draft.finished_at,
    )


def _segments(draft: DraftPath, sides: Sides) -> Iterator[OutputSegment]:
    """The segments with their verdicts.

    A part whose text a pair rejects in that position counts as not reviewed.
    """
    prefix = ""
    for segment in draft.segments:
        refused = segment.verdict is not None and sides.reject(draft.id, prefix, segment.text)
        yield OutputSegment(segment.text, segment.origin, None if refused else segment.verdict)
        prefix += segment.text
