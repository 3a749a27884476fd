"""Edits of the structure: insert, delete, split, merge. They fork the path and edit no segment."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from app.annotation.edits.correction import check_text, image_of
from app.annotation.edits.path import (
    GONE,
    Copy,
    Step,
    add_copies,
    add_human,
    joined,
    part,
    steps_of,
)
from app.annotation.edits.revision import Standing, begin, carry_on, record, standing
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
    before = standing(db, draft)
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
    before = standing(db, draft)
    step = before.path.step(segment_id)
    following = before.path.after(step)
    rewrites = rewrite and (bool(following) or before.unfinished)
    moves_up = following[0].spans if following and not rewrites else None
    marks, first = take_out(step.spans, moves_up)
    after, verdicts = carry_on(
        db,
        draft=draft,
        before=before,
        above=before.path.above(step),
        following=following,
        replaced_depth=step.depth,
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
        segment_id=step.id,
    )


def split(db: Session, *, draft: Draft, base_version: int, segment_id: int, at: int) -> int:
    """Split a segment at code point `at` of its text as a textarea shows it (LF newlines).

    Newlines at the cut end the first part. Only the boundary changes, so no pair is made. Returns
    the
    id of the second part. Raises Invalid when a part would be empty.
    """
    begin(draft, base_version)
    before = standing(db, draft)
    _check_room(before)
    step = before.path.step(segment_id)
    cut = _raw_offset(step.text, at)
    while cut < len(step.text) and step.text[cut] in "\r\n":
        cut += 1
    left, right = cut_spans(step.spans, cut)
    if not (step.text[:cut].strip() and step.text[cut:].strip()):
        raise Invalid("Place the cursor inside the text to split it there.", field="at")
    parts = [
        _half(db, step, 0, left, ends_output=False),
        _half(db, step, cut, right, ends_output=step.ends_output),
    ]
    return _redraw(
        db,
        draft=draft,
        action=Action.SPLIT,
        before=before,
        first=step,
        parts=parts,
        following=before.path.after(step),
        verdict=before.verdicts.get(step.id),
    )


def merge(db: Session, *, draft: Draft, base_version: int, segment_id: int) -> int:
    """Merge a segment with the next one. Only the boundary changes, so no pair is made.

    Returns the id of the merged segment. Raises Invalid for the last segment.
    """
    begin(draft, base_version)
    before = standing(db, draft)
    step = before.path.step(segment_id)
    following = before.path.after(step)
    if not following:
        raise Invalid("There is no next segment to merge with.")
    other = following[0]
    source = other if other.origin is Origin.HUMAN else step
    parts = [joined(source, step, other)]
    verdicts = [before.verdicts.get(step.id), before.verdicts.get(other.id)]
    verdict = Verdict.CORRECTED if Verdict.CORRECTED in verdicts else verdicts[0] and verdicts[1]
    return _redraw(
        db,
        draft=draft,
        action=Action.MERGE,
        before=before,
        first=step,
        parts=parts,
        following=following[1:],
        verdict=verdict,
    )


def _check_room(before: Standing) -> None:
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
    before: Standing,
    first: Step,
    parts: list[Copy],
    following: Sequence[Step],
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


def _half(db: Session, step: Step, start: int, spans: Spans, *, ends_output: bool) -> Copy:
    """A part of a segment. A part that is entirely the model's is attributed to the model, even if
    a
    person wrote the rest of the segment.
    """
    half = part(step, start, spans, ends_output=ends_output)
    if step.origin is Origin.HUMAN and all(span.how is How.KEPT for span in spans):
        writer = spans[0].text.segment
        half = replace(half, source=steps_of(db, [writer])[writer])
    return half


def _raw_offset(raw: str, at: int) -> int:
    """Convert the code point `at` of the LF-normalised text to an offset in the raw text."""
    raw_at = 0
    for _ in range(min(at, len(raw))):
        raw_at += 2 if raw.startswith("\r\n", raw_at) else 1
    return min(raw_at, len(raw))
