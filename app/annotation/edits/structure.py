"""Edits of the structure: insert, delete, split, merge. They fork the path and edit no segment."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from app.annotation.edits.correction import check_text, image_of
from app.annotation.edits.path import (
    GONE,
    Copy,
    PathSegment,
    add_copies,
    add_human,
    joined,
    part,
    segments_of,
)
from app.annotation.edits.revision import DraftState, begin, carry_on, draft_state, record
from app.domain.corrections import Verdict
from app.domain.messages import Message
from app.domain.spans import How, Spans, put_before, take_out
from app.domain.spans import cut as cut_spans
from app.domain.text import normalise_newlines
from app.domain.tree import MAX_SEGMENTS, Origin
from app.models import Action, Draft
from app.refusals import Invalid, Outdated

PARAGRAPH = "\n\n"


def insert(
    db: Session, *, draft: Draft, base_version: int, after_id: int, text: str, rewrite: bool
) -> int:
    """Insert a new segment after `after_id` (the root's id inserts at the beginning).

    If the model wrote the segment that now follows, the new segment is preferred over it. Returns
    the id of the new segment.
    """
    begin(draft, base_version)
    before = draft_state(db, draft)
    parent = before.path.find(after_id)
    if parent is None:
        raise Outdated(GONE)
    following = before.path.after(parent)
    if parent.ends_output or (parent.parent_id and not parent.separator and not following):
        raise Invalid(
            "The text ends here. Add what is missing to the last segment instead.", field="text"
        )
    _check_room(before)
    text = normalise_newlines(text)
    check_text(text)
    if not text.endswith("\n") and (following or before.unfinished):
        text += parent.separator or (following[0].separator if following else "") or PARAGRAPH
    first = following[0].spans if following else None
    inserted, pushed = put_before(first, len(text))
    added = add_human(
        db,
        sample_id=draft.sample_id,
        parent=parent,
        text=text,
        author_id=draft.user_id,
        ends_output=False,
        image_index=image_of(db, draft, parent) if parent.parent_id else None,
        # The new segment replaces what was deleted here.
        spans=(*(() if following else before.deleted_at_end), *inserted),
    )
    after, verdicts = carry_on(
        db,
        draft=draft,
        before=before,
        above=before.path.down_to(parent).fork(added),
        following=following,
        replaced_depth=parent.depth,
        rewrite=rewrite and bool(following),
        deleted=() if not following else None,
        first=pushed if pushed != first else None,
    )
    record(
        db,
        draft=draft,
        action=Action.INSERT,
        before=before,
        after=after,
        verdicts={added.id: Verdict.CORRECTED} | verdicts,
        segment_id=added.id,
    )
    return added.id


def delete(db: Session, *, draft: Draft, base_version: int, segment_id: int, rewrite: bool) -> None:
    """Delete a segment from the text; what follows moves up, copied or rewritten.

    What follows is preferred over the model's deleted text. The pair counts once the segment that
    follows has a verdict.
    """
    begin(draft, base_version)
    before = draft_state(db, draft)
    segment = before.path.segment(segment_id)
    following = before.path.after(segment)
    rewrites = rewrite and (bool(following) or before.unfinished)
    moves_up = following[0].spans if following and not rewrites else None
    marks, first = take_out(segment.spans, moves_up)
    after, verdicts = carry_on(
        db,
        draft=draft,
        before=before,
        above=before.path.above(segment),
        following=following,
        replaced_depth=segment.depth,
        rewrite=rewrites,
        deleted=marks if following else (*marks, *before.deleted_at_end),
        first=(*marks, *first) if first is not None else None,
    )
    record(
        db,
        draft=draft,
        action=Action.DELETE,
        before=before,
        after=after,
        verdicts=verdicts,
        segment_id=segment.id,
    )


def split(db: Session, *, draft: Draft, base_version: int, segment_id: int, at: int) -> int:
    """Split a segment at code point `at` of its text as a textarea shows it (LF newlines).

    Newlines at the cut end the first part. Only the boundary changes, so no pair is made. Returns
    the
    id of the second part. Raises Invalid when a part would be empty.
    """
    begin(draft, base_version)
    before = draft_state(db, draft)
    _check_room(before)
    segment = before.path.segment(segment_id)
    cut = _raw_offset(segment.text, at)
    while cut < len(segment.text) and segment.text[cut] in "\r\n":
        cut += 1
    left, right = cut_spans(segment.spans, cut)
    if not (segment.text[:cut].strip() and segment.text[cut:].strip()):
        raise Invalid("Place the cursor inside the text to split it there.", field="at")
    parts = [
        _half(db, segment, 0, left, ends_output=False),
        _half(db, segment, cut, right, ends_output=segment.ends_output),
    ]
    return _redraw(
        db,
        draft=draft,
        action=Action.SPLIT,
        before=before,
        first=segment,
        parts=parts,
        following=before.path.after(segment),
        verdict=before.verdicts.get(segment.id),
    )


def merge(db: Session, *, draft: Draft, base_version: int, segment_id: int) -> int:
    """Merge a segment with the next one. Only the boundary changes, so no pair is made.

    Returns the id of the merged segment. Raises Invalid for the last segment.
    """
    begin(draft, base_version)
    before = draft_state(db, draft)
    segment = before.path.segment(segment_id)
    following = before.path.after(segment)
    if not following:
        raise Invalid("There is no next segment to merge with.")
    other = following[0]
    source = other if other.origin is Origin.HUMAN else segment
    parts = [joined(source, segment, other)]
    verdicts = [before.verdicts.get(segment.id), before.verdicts.get(other.id)]
    verdict = Verdict.CORRECTED if Verdict.CORRECTED in verdicts else verdicts[0] and verdicts[1]
    return _redraw(
        db,
        draft=draft,
        action=Action.MERGE,
        before=before,
        first=segment,
        parts=parts,
        following=following[1:],
        verdict=verdict,
    )


def _check_room(before: DraftState) -> None:
    if before.path.leaf.depth >= MAX_SEGMENTS:
        raise Invalid(
            Message("A text can have at most %(most)s segments.", most=f"{MAX_SEGMENTS:,}"),
            field="text",
        )


def _redraw(
    db: Session,
    *,
    draft: Draft,
    action: Action,
    before: DraftState,
    first: PathSegment,
    parts: list[Copy],
    following: Sequence[PathSegment],
    verdict: Verdict | None,
) -> int:
    """Replace `first` and the segments in `parts` by copies with new boundaries; the last copy's
    id.
    """
    copies = add_copies(
        db, sample_id=draft.sample_id, parent=before.path.parent(first), copies=parts
    )
    after, verdicts = carry_on(
        db,
        draft=draft,
        before=before,
        above=before.path.fork(*copies),
        following=following,
        replaced_depth=before.path.leaf.depth,
        rewrite=False,
    )
    record(
        db,
        draft=draft,
        action=action,
        before=before,
        after=after,
        verdicts={copy.id: verdict for copy in copies if verdict is not None} | verdicts,
        segment_id=first.id,
    )
    return copies[-1].id


def _half(
    db: Session, segment: PathSegment, start: int, spans: Spans, *, ends_output: bool
) -> Copy:
    """A part of a segment; attributed to the model where the part is entirely the model's.

    That holds even if a person wrote the rest of the segment.
    """
    half = part(segment, start, spans, ends_output=ends_output)
    if segment.origin is Origin.HUMAN and all(span.how is How.KEPT for span in spans):
        writer = spans[0].text.segment
        half = replace(half, source=segments_of(db, [writer])[writer])
    return half


def _raw_offset(raw: str, at: int) -> int:
    """Convert the code point `at` of the LF-normalised text to an offset in the raw text."""
    raw_at = 0
    for _ in range(min(at, len(raw))):
        raw_at += 2 if raw.startswith("\r\n", raw_at) else 1
    return min(raw_at, len(raw))
