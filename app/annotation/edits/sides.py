"""The two sides of a pair as siblings in the tree: existing segments, otherwise copies of them."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.annotation.edits.path import (
    Copy,
    Path,
    PathSegment,
    add_copies,
    add_human,
    part,
    segments_of,
)
from app.domain.corrections import is_on_policy
from app.domain.spans import Change, How, Slice, Span, as_change, cut
from app.domain.tree import Origin
from app.lineage import TextInPlace, wrote_here
from app.models import Draft


def parent_of(db: Session, *, draft: Draft, path: Path, change: Change) -> PathSegment:
    """The segment after which a change begins; a new one where it begins inside a segment."""
    above, at = path.steps[change.start.index], change.start.offset
    if at == 0:
        return above
    segment = path.segments[change.start.index]
    before = part(segment, 0, cut(segment.spans, at)[0], ends_output=False)
    return add_copies(db, sample_id=draft.sample_id, parent=above, copies=[before])[0]


def chosen_side(
    db: Session, *, draft: Draft, path: Path, parent: PathSegment, change: Change
) -> PathSegment:
    """The segment below `parent` whose text is exactly the change's."""
    segment = path.segments[change.start.index]
    whole = change.start.offset == 0 and change.end.index == change.start.index
    if whole and change.end.offset == len(segment.text):
        return segment
    last = path.segments[change.end.index]
    ends_output = last.ends_output and change.end.offset == len(last.text)
    if change.how is How.DELETED:
        at = change.start.offset
        rest = part(segment, at, cut(segment.spans, at)[1], ends_output=ends_output)
        return add_copies(db, sample_id=draft.sample_id, parent=parent, copies=[rest])[0]
    return add_human(
        db,
        sample_id=draft.sample_id,
        parent=parent,
        text=change.text,
        author_id=draft.user_id,
        ends_output=ends_output,
        image_index=segment.image_index,
        spans=as_change(change.how, change.of, change.slices),
    )


def model_text(
    db: Session, of: Sequence[Slice], *, known: Sequence[PathSegment]
) -> tuple[str, Sequence[PathSegment]]:
    """The model's text in these slices, and the segments that they come from.

    known: segments that need not be read.
    """
    steps = {segment.id: segment for segment in known}
    if missing := {one.segment for one in of} - steps.keys():
        steps |= segments_of(db, missing)
    texts = (steps[one.segment].text[one.start : one.end] for one in of)
    return "".join(texts), [steps[one.segment] for one in of]


def rejected_side(
    db: Session,
    *,
    draft: Draft,
    parent: PathSegment,
    of: Sequence[Slice],
    text: str,
    sources: Sequence[PathSegment],
    known: Sequence[PathSegment],
) -> PathSegment:
    """The segment below `parent` whose text is exactly the model's text `of`."""
    for segment in (*sources, *known):
        if (
            segment.parent_id == parent.id
            and segment.origin is Origin.MODEL
            and segment.text == text
            and segment.slices == tuple(of)
        ):
            return segment
    ends_output = sources[-1].ends_output and of[-1].end == len(sources[-1].text)
    spans = tuple(Span(one, How.KEPT) for one in of)
    copy = Copy(sources[0], text, ends_output, spans)
    return add_copies(db, sample_id=draft.sample_id, parent=parent, copies=[copy])[0]


def wrote_it_here(db: Session, segment: PathSegment, *, prefix: str) -> bool:
    """Whether one policy wrote this text itself, directly after this prefix."""
    if segment.copied_from is None:
        return is_on_policy(segment.origin, False, segment.engine)
    return wrote_here(db, [TextInPlace(segment.slices, segment.text, prefix)])[0]
