"""Whole outputs: the texts of finished drafts, as their annotators left them."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from app.domain.formats import OutputSegment, WholeOutput
from app.pairs.paths import DraftPath, draft_paths


def outputs(db: Session, *, project_id: int) -> Iterator[WholeOutput]:
    """The project's finished texts, in the order of their drafts' ids.

    A text counts as whole (ends_output) when the model stopped after its last segment, or after
    the one that the annotator corrected there. A draft without any segment is no output.
    """
    for batch in draft_paths(db, project_id=project_id, finished=True):
        yield from (_output(draft) for draft in batch if draft.segments)


def _output(draft: DraftPath) -> WholeOutput:
    if draft.finished_at is None:
        raise ValueError(f"Draft {draft.id} is not finished.")
    return WholeOutput(
        draft_id=draft.id,
        project=draft.project,
        sample=draft.sample,
        images=draft.images,
        image_files=draft.image_files,
        instruction=draft.instruction,
        segments=tuple(
            OutputSegment(segment.text, segment.origin, segment.verdict)
            for segment in draft.segments
        ),
        ends_output=draft.segments[-1].ends_output,
        annotator=draft.annotator,
        finished_at=draft.finished_at,
    )
