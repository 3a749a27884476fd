"""A draft's path with its verdicts, corrections and notes, read in one query."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    func,
    select,
)
from sqlalchemy.orm import Session

from app.annotation.views.values import Progress, SegmentView, State
from app.domain.certainty import from_rows
from app.domain.corrections import Kind, Verdict
from app.domain.diffs import Change, Op, diff
from app.domain.spans import Stored, read
from app.domain.tree import Origin
from app.models import (
    Correction,
    Draft,
    DraftVerdict,
    Regeneration,
    Remark,
    Sample,
    Segment,
    UnsavedEdit,
    table_of,
)


@dataclass(frozen=True, slots=True)
class Line:
    """A segment of the path with its verdict, its live correction and its annotations."""

    id: int
    parent_id: int
    number: int
    text: str
    image_index: int | None
    generated_by: int | None
    copied: bool
    verdict: Verdict | None
    kind: Kind | None
    model_text: str | None
    unsaved: str | None
    note: str
    ends_output: bool
    policy_id: int | None
    language: str
    certainty: float | None
    weak_words: list[list[float]] | None
    origin: Origin
    spans: Stored

    @property
    def stands_for_model(self) -> bool:
        """Whether the segment replaces a model's text or was inserted before one."""
        found = read(self.spans, segment_id=self.id, length=len(self.text))
        return any(span.base or span.of or span.tied for span in found)

    @property
    def replaced(self) -> str | None:
        """The model's text that this segment replaces; None for an inserted segment."""
        return None if self.kind is Kind.INSERT else self.model_text

    def state(self, after: int | None) -> State:
        """The state of the segment; `new` means written by the current run and not reviewed.

        after: the number of the segment that the run continues, None without a run.
        """
        if self.verdict is not None:
            return State.EDITED if self.verdict is Verdict.CORRECTED else State.ACCEPTED
        if after is not None and self.number > after:
            return State.NEW
        return State.UNTOUCHED


def lines(db: Session, draft: Draft, leaf_id: int) -> tuple[Line, ...]:
    """The segments from the first to `leaf_id` as the draft's annotator sees them."""
    rows = db.execute(_PATH, {"draft": draft.id, "leaf": leaf_id}).all()
    return tuple(Line(*row) for row in rows)


def lines_of(db: Session, draft_id: int, segment_ids: Sequence[int]) -> tuple[Line, ...]:
    """Selected segments of a draft's path, in path order, without the rest of it."""
    rows = db.execute(_SOME, {"draft": draft_id, "segments": [*segment_ids]}).all()
    return tuple(Line(*row) for row in rows)


def _path() -> CTE:
    """The ids from the root to `leaf`."""
    segments = table_of(Segment)
    parents = segments.alias()
    walk = (
        select(segments.c.id, segments.c.parent_id)
        .where(segments.c.id == bindparam("leaf"))
        .cte("walk", recursive=True)
    )
    return walk.union_all(
        select(parents.c.id, parents.c.parent_id).join(walk, parents.c.id == walk.c.parent_id)
    )


def _some() -> CTE:
    """The ids in `segments`."""
    ids = func.unnest(bindparam("segments", type_=ARRAY(BigInteger))).column_valued("id")
    return select(ids).cte("some")


def _lines(wanted: CTE) -> Select[*tuple[Any, ...]]:
    """The segments in `wanted` with their annotations, in the order of Line's fields.

    Uses tables, not mapped classes: for 26 rows of 17 columns that is cheaper.
    """
    segments, samples, corrections = table_of(Segment), table_of(Sample), table_of(Correction)
    verdicts, unsaved, remarks = map(table_of, (DraftVerdict, UnsavedEdit, Remark))
    rejected = segments.alias()

    def beside(table: Table) -> ColumnElement[bool]:
        return and_(table.c.segment_id == segments.c.id, table.c.draft_id == bindparam("draft"))

    return (
        select(
            segments.c.id,
            segments.c.parent_id,
            segments.c.depth,
            segments.c.text,
            func.coalesce(remarks.c.image_index, segments.c.image_index),
            segments.c.regeneration_id,
            segments.c.copied_from.is_not(None),
            verdicts.c.verdict,
            corrections.c.kind,
            rejected.c.text,
            unsaved.c.text,
            func.coalesce(remarks.c.note, ""),
            segments.c.ends_output,
            segments.c.policy_id,
            samples.c.language,
            segments.c.certainty,
            segments.c.weak_words,
            segments.c.origin,
            segments.c.spans,
        )
        .select_from(wanted)
        .join(segments, segments.c.id == wanted.c.id)
        .join(samples, samples.c.id == segments.c.sample_id)
        .outerjoin(verdicts, beside(verdicts))
        .outerjoin(unsaved, beside(unsaved))
        .outerjoin(remarks, beside(remarks))
        .outerjoin(
            corrections,
            and_(
                corrections.c.chosen_id == segments.c.id,
                corrections.c.draft_id == bindparam("draft"),
                corrections.c.retracted_at.is_(None),
                corrections.c.superseded_by.is_(None),
                corrections.c.rested_at.is_(None),
                corrections.c.kind.not_in((Kind.DELETE, Kind.CHOICE)),
            ),
        )
        .outerjoin(rejected, rejected.c.id == corrections.c.rejected_id)
        .where(segments.c.parent_id.is_not(None))
        .order_by(segments.c.depth)
    )


def anchor_number(path: Sequence[Line], run: Regeneration | None) -> int | None:
    """The number of the segment that the path's run continues, 0 for the root; None: no run.

    All segments after it belong to the run: written by it, or a candidate that was chosen.
    """
    if run is None:
        return None
    return next((line.number for line in path if line.id == run.anchor_id), 0)


def segment_view(line: Line, after: int | None) -> SegmentView:
    """A line as the page shows it; after: see Line.state."""
    state = line.state(after)
    original: str | None = None
    changes: tuple[Change, ...] | None = None
    if state is State.EDITED and line.kind is Kind.INSERT:
        changes = (Change(Op.INSERT, shown(line.text)),)
    elif state is State.EDITED and line.model_text is not None:
        original = shown(line.model_text)
        changes = word_diff(original, shown(line.text))
    return SegmentView(
        id=line.id,
        number=line.number,
        text=shown(line.text),
        state=state,
        language=line.language,
        image_index=line.image_index,
        original=original,
        changes=changes,
        unsaved=line.unsaved if line.unsaved != shown(line.text) else None,
        note=line.note,
        kind=line.kind,
        generated=line.generated_by is not None,
        certainty=line.certainty,
        weak=from_rows(line.weak_words),
    )


def progress_view(
    path: Sequence[Line], after: int | None, *, displaced_depth: int | None
) -> Progress:
    """The progress of a draft. displaced_depth: the length of the displaced text while a run is
    unfinished.

    The output is expected to reach about that length, or the present one if that is longer.
    """
    cells = tuple(line.state(after) for line in path)
    done = sum(cell in (State.ACCEPTED, State.EDITED) for cell in cells)
    live = displaced_depth is not None
    expected = max(len(cells) + 1, displaced_depth or 0) if live else len(cells)
    return Progress(
        cells=cells,
        done=done,
        expected=expected,
        running=live,
        knows_certainty=any(line.certainty is not None for line in path),
        unsure=sum(line.certainty is not None and line.verdict is None for line in path),
    )


def shown(text: str) -> str:
    """A segment's text without the newlines that end it: they separate segments, and no editor
    shows them.
    """
    return text.rstrip("\r\n")


@lru_cache(maxsize=2048)
def word_diff(old: str, new: str) -> tuple[Change, ...]:
    """diff() of two texts, cached: segments never change, so opening a page again costs nothing."""
    return tuple(diff(old, new))


# Built once: composing these statements costs SQLAlchemy more than running them.
_PATH = _lines(_path())
_SOME = _lines(_some())
