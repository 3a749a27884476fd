"""Edits of the text: accept, correct, continue again, stop.

Every act takes a draft that its caller has locked (access.draft_of with write=True), refuses an old
base_version with Stale, and leaves the commit to the request.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app import regenerations
from app.annotation.edits import sides
from app.annotation.edits.path import GONE, Copy, PathSegment, add_copies, add_human, segments_of
from app.annotation.edits.revision import (
    DraftState,
    begin,
    carry_on,
    draft_state,
    is_near_the_end,
    record,
    undoable,
)
from app.annotation.edits.unsaved import forget
from app.domain.corrections import Verdict
from app.domain.spans import How, Span, Spans, head, put_in_place, stored, take_out
from app.domain.text import defect, keep_newlines
from app.models import Action, Draft, Regeneration, Remark
from app.refusals import Conflict, Invalid, Outdated


@dataclass(frozen=True, slots=True)
class Original:
    """The model's text that a segment replaces: the text, its segments and its spans."""

    text: str
    sources: Sequence[PathSegment]
    spans: Spans


_LINKED = select(Remark.image_index).where(
    Remark.draft_id == bindparam("draft"), Remark.segment_id == bindparam("segment")
)


def accept(db: Session, *, draft: Draft, base_version: int, segment_id: int) -> None:
    """Accept the segment as it is. Accepting twice changes nothing.

    Unsaved text for this segment stays in unsaved_edits: accepting must not lose it.
    """
    begin(draft, base_version)
    before = draft_state(db, draft)
    segment = before.path.segment(segment_id)
    if before.verdicts.get(segment_id) is None:
        record(
            db,
            draft=draft,
            action=Action.ACCEPT,
            before=before,
            after=before.path,
            verdicts={segment.id: Verdict.ACCEPTED},
            segment_id=segment.id,
        )
        if before.waits and is_near_the_end(segment.depth, before.path.leaf.depth):
            regenerations.resume(db, draft=draft, regeneration_id=draft.regeneration_id or 0)


def correct(
    db: Session, *, draft: Draft, base_version: int, segment_id: int, text: str, rewrite: bool
) -> int:
    """Replace a segment's text; the model's text becomes the rejected side of a pair.

    text: as typed, newlines in any form; the newlines that end the segment are kept.
    rewrite: True requests a regeneration after the segment; False copies what follows.

    Text equal to the segment's own is an acceptance; text equal to the model's takes an earlier
    correction back. Returns the id of the segment that is now in this position. Raises Invalid
    (field
    "text") for an empty or unusable text.
    """
    begin(draft, base_version)
    before = draft_state(db, draft)
    segment = before.path.segment(segment_id)
    typed = typed_text(segment, text)
    if typed == segment.text:
        accept(db, draft=draft, base_version=base_version, segment_id=segment_id)
        forget(db, draft_id=draft.id, segment_id=segment_id)
        return segment.id
    if (original := _models_text(db, before, segment, typed)) is not None:
        return _take_back(db, draft=draft, before=before, segment=segment, original=original)
    following = before.path.after(segment)
    chosen = add_human(
        db,
        sample_id=draft.sample_id,
        parent=before.path.parent(segment),
        text=typed,
        author_id=draft.user_id,
        ends_output=segment.ends_output and not following,
        image_index=image_of(db, draft, segment),
        spans=put_in_place(segment.spans, len(typed)),
    )
    after, verdicts = carry_on(
        db,
        draft=draft,
        before=before,
        above=before.path.fork(chosen),
        following=following,
        replaced_depth=segment.depth,
        rewrite=rewrite,
    )
    record(
        db,
        draft=draft,
        action=Action.CORRECT if rewrite else Action.KEEP,
        before=before,
        after=after,
        verdicts={chosen.id: Verdict.CORRECTED} | verdicts,
        segment_id=chosen.id,
        forget_id=segment.id,
    )
    return chosen.id


def regenerate(db: Session, *, draft: Draft, base_version: int, segment_id: int) -> Regeneration:
    """Request a new continuation after a segment (after the root: of the whole output).

    Raises Conflict after the last segment of a complete output: there is nothing to continue.
    """
    begin(draft, base_version)
    before = draft_state(db, draft)
    segment = before.path.find(segment_id)
    if segment is None:
        raise Outdated(GONE)
    if segment.ends_output:
        raise Conflict("The text ends here, so there is nothing to continue.")
    run = regenerations.request(
        db,
        draft=draft,
        anchor_id=segment.id,
        displaced_id=before.path.leaf.id,
        displaced_depth=segment.depth,
        offers=True,
        deleted=stored(deleted)
        if (deleted := _deleted_after(db, draft, before, segment))
        else None,
    )
    record(
        db,
        draft=draft,
        action=Action.REGENERATE,
        before=before,
        after=before.path.down_to(segment),
        verdicts={},
        segment_id=segment.id if segment.parent_id else None,
    )
    return run


def stop(db: Session, *, draft: Draft, regeneration_id: int) -> None:
    """Stop a regeneration and keep the text it has written. Stopping a finished one changes
    nothing.
    """
    regenerations.cancel(db, draft_id=draft.id, regeneration_id=regeneration_id)


def typed_text(segment: PathSegment, typed: str) -> str:
    """Convert a textarea's text to the form in which segments are stored.

    The browser shows a segment without the newlines that end it, and a textarea uses LF only. Both
    are restored here, so an unchanged text is identical byte for byte. Newlines typed at the end
    replace the segment's own instead of adding to them.
    """
    shown = segment.text[: len(segment.text) - len(segment.separator)]
    text = keep_newlines(shown, typed)
    if segment.separator:
        text = text.rstrip("\r\n") + segment.separator
    if text != segment.text:
        check_text(text, leading_newline=segment.text[:1] in ("\r", "\n"))
    return text


def check_text(text: str, *, leading_newline: bool = False) -> None:
    """Raises Invalid for a text that cannot be a segment.

    leading_newline: allowed only where the text it replaces began with one.
    """
    if problem := defect(text):
        raise Invalid(problem, field="text")
    if not text.strip():
        raise Invalid("You cannot save an empty text. Delete the segment instead.", field="text")
    if text[0] in "\r\n" and not leading_newline:
        raise Invalid(
            "A segment cannot begin with an empty line. Line breaks belong to the end of the "
            "segment before it.",
            field="text",
        )


def image_of(db: Session, draft: Draft, segment: PathSegment) -> int | None:
    """The image linked to a segment: the annotator's choice, otherwise the rule's."""
    linked = db.scalar(_LINKED, {"draft": draft.id, "segment": segment.id})
    return segment.image_index if linked is None else linked


def _deleted_after(db: Session, draft: Draft, before: DraftState, segment: PathSegment) -> Spans:
    """What was deleted directly after a segment: new text in that position replaces it, too."""
    following = before.path.after(segment)
    if following:
        return head(following[0].spans)[0]
    if before.deleted_at_end:
        return before.deleted_at_end
    last = undoable(db, draft)
    if last is None or last.action is not Action.DELETE or last.segment_id is None:
        return ()
    gone = segments_of(db, [last.segment_id])[last.segment_id]
    return take_out(gone.spans, None)[0] if gone.parent_id == segment.id else ()


def _models_text(
    db: Session, before: DraftState, segment: PathSegment, typed: str
) -> Original | None:
    """The model's text in the position of a person's segment, if that is what was typed."""
    marks, rest = head(segment.spans)
    following = before.path.after(segment)
    goes_on = bool(following) and following[0].spans[0].tied
    if len(rest) != 1 or rest[0].how is not How.CHANGED or rest[0].tied or goes_on:
        return None
    of = rest[0].of
    text, sources = sides.model_text(db, of, known=before.path.segments)
    if text != typed:
        return None
    return Original(text, sources, (*marks, *(Span(one, How.KEPT) for one in of)))


def _take_back(
    db: Session, *, draft: Draft, before: DraftState, segment: PathSegment, original: Original
) -> int:
    """Handle typed text that equals the model's: restore the model's text, accepted."""
    parent, source = before.path.parent(segment), original.sources[0]
    if source.parent_id == parent.id and source.spans == original.spans:
        back = source
    else:
        copy = Copy(source, original.text, segment.ends_output, original.spans)
        (back,) = add_copies(db, sample_id=draft.sample_id, parent=parent, copies=[copy])
    after, verdicts = carry_on(
        db,
        draft=draft,
        before=before,
        above=before.path.fork(back),
        following=before.path.after(segment),
        replaced_depth=segment.depth,
        rewrite=False,
    )
    record(
        db,
        draft=draft,
        action=Action.ACCEPT,
        before=before,
        after=after,
        verdicts={back.id: Verdict.ACCEPTED} | verdicts,
        segment_id=back.id,
        forget_id=segment.id,
        quiet=True,
    )
    return back.id
