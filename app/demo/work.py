"""A finished draft, so that a first look finds pairs, progress and an export to try."""

from sqlalchemy.orm import Session

from app.annotation.edits import assignment, correction
from app.annotation.edits.revision import draft_state
from app.models import Draft

# Segment, what the model wrote, what the slide shows.
_MISTAKES = (
    (2, "Thirty-eight million cubic metres", "Thirty-one million cubic metres"),
    (3, "The old town, with the oldest pipes, began", "The harbour, with the oldest pipes, began"),
    (5, "place it within ten metres", "place it within a metre"),
)


def correct_water_lecture(db: Session, *, sample_id: int, user_id: int) -> Draft:
    """The user's finished draft of the lecture on water: three mistakes corrected, the rest kept.

    The text after each correction is kept as the model wrote it, so it needs no worker.
    """
    draft = assignment.open_draft(db, sample_id=sample_id, user_id=user_id)
    for number, wrong, right in _MISTAKES:
        step = draft_state(db, draft).path.steps[number]
        correction.correct(
            db,
            draft=draft,
            base_version=draft.version,
            segment_id=step.id,
            # As typed in the page, which shows no newlines at the end and puts them back.
            text=step.text.rstrip("\r\n").replace(wrong, right),
            rewrite=False,
        )
    now = draft_state(db, draft)
    for step in now.path.segments:
        if step.id not in now.verdicts:
            correction.accept(db, draft=draft, base_version=draft.version, segment_id=step.id)
    assignment.finish(db, draft=draft, base_version=draft.version)
    return draft
