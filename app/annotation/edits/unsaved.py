"""What an annotator attaches to a segment: unsaved text, a note, another image."""

from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.messages import Message
from app.domain.text import normalise_newlines
from app.models import Draft, Remark, SampleImage, Segment, UnsavedEdit, now, table_of
from app.refusals import Invalid, NotFound

MAX_TEXT = 400_000
_AHEAD = timedelta(minutes=1)

_KEPT = table_of(UnsavedEdit).c
_FORGET = delete(table_of(UnsavedEdit)).where(
    _KEPT.draft_id == bindparam("draft"), _KEPT.segment_id == bindparam("segment")
)


def keep_unsaved(
    db: Session, *, draft: Draft, segment_id: int, text: str, typed_at_ms: int
) -> datetime | None:
    """Keep typed text for a segment until it is saved or discarded.

    typed_at_ms: the browser's clock; a late autosave never replaces a newer text. A clock that is
    more than a minute ahead delays later texts by at most a minute.

    Returns when the text was kept; None when a newer text is kept already.
    """
    belongs(db, draft, segment_id)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Invalid("The text contains a character that cannot be stored.", field="text")
    if len(text) > MAX_TEXT:
        raise Invalid(
            Message("A segment can have at most %(most)s characters.", most=f"{MAX_TEXT:,}"),
            field="text",
        )
    at = now()
    statement = insert(UnsavedEdit).values(
        draft_id=draft.id,
        segment_id=segment_id,
        text=normalise_newlines(text),
        typed_at_ms=min(typed_at_ms, int((at + _AHEAD).timestamp() * 1000)),
        updated_at=at,
    )
    return db.scalar(
        statement.on_conflict_do_update(
            index_elements=[UnsavedEdit.draft_id, UnsavedEdit.segment_id],
            set_={
                "text": statement.excluded.text,
                "typed_at_ms": statement.excluded.typed_at_ms,
                "updated_at": statement.excluded.updated_at,
            },
            where=UnsavedEdit.typed_at_ms <= statement.excluded.typed_at_ms,
        ).returning(UnsavedEdit.updated_at)
    )


def forget(db: Session, *, draft_id: int, segment_id: int) -> None:
    """Delete the kept text of a segment: it was saved, or the annotator discarded it."""
    db.execute(_FORGET, {"draft": draft_id, "segment": segment_id})


def note(db: Session, *, draft: Draft, segment_id: int, text: str) -> None:
    """Store a note for reviewers on a segment; an empty text removes it."""
    belongs(db, draft, segment_id)
    if "\0" in text or len(text) > 10_000:
        raise Invalid("A note can have at most 10,000 characters of plain text.", field="text")
    _remark(db, draft, segment_id, note=text)


def link_image(db: Session, *, draft: Draft, segment_id: int, image_index: int | None) -> None:
    """Link an image (0-based) to a segment; None restores the rule's image."""
    belongs(db, draft, segment_id)
    count = db.scalar(
        select(func.count())
        .select_from(SampleImage)
        .where(SampleImage.sample_id == draft.sample_id)
    )
    if image_index is not None and not 0 <= image_index < (count or 0):
        raise Invalid(
            Message("This sample has %(count)s images.", count=count), field="image_index"
        )
    _remark(db, draft, segment_id, image_index=image_index)


def belongs(db: Session, draft: Draft, segment_id: int) -> None:
    """Raises NotFound for a segment of another sample."""
    found = db.scalar(
        select(Segment.id).where(Segment.id == segment_id, Segment.sample_id == draft.sample_id)
    )
    if found is None:
        raise NotFound("This sample has no such segment.")


def _remark(db: Session, draft: Draft, segment_id: int, **values: str | int | None) -> None:
    statement = insert(Remark).values(draft_id=draft.id, segment_id=segment_id, **values)
    db.execute(
        statement.on_conflict_do_update(
            index_elements=[Remark.draft_id, Remark.segment_id], set_=values
        )
    )
