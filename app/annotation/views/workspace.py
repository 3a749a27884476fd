"""Queries for the workspace: one draft, one segment, what a save changes."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, exists, func, select
from sqlalchemy.orm import Session, aliased

from app import regenerations
from app.annotation.edits.revision import UNDOABLE
from app.annotation.views.segments import (
    Line,
    anchor_number,
    lines,
    progress_view,
    segment_view,
    shown,
    word_diff,
)
from app.annotation.views.values import (
    CandidateView,
    ConflictView,
    EditorView,
    ImageView,
    OpenEnd,
    Progress,
    RunView,
    SavedView,
    SegmentView,
    State,
    SupersededView,
    WorkspaceView,
)
from app.domain.conversation import Context
from app.domain.corrections import REPLAY_ENGINE
from app.domain.diffs import tally
from app.domain.tree import Origin
from app.domain.words import words
from app.models import (
    UNFINISHED,
    Chunk,
    Draft,
    Image,
    Policy,
    Project,
    Regeneration,
    Revision,
    RunState,
    Sample,
    SampleImage,
    Segment,
    UnsavedEdit,
    now,
)
from app.refusals import NotFound

# Statements are built once: composing one costs SQLAlchemy more than running it.
_NUMBER = select(Regeneration.number).where(Regeneration.id == bindparam("run"))
_DEPTH = select(Segment.depth).where(Segment.id == bindparam("segment"))


def _around() -> Select[*tuple[Any, ...]]:
    """What stands beside a draft's path, in one row: see _Around."""
    anchor, displaced = aliased(Segment), aliased(Segment)
    displaced_run = aliased(Regeneration)
    return (
        select(
            exists().where(UNDOABLE),
            Regeneration,
            anchor.depth,
            displaced.depth,
            func.coalesce(displaced_run.number, 1),
            Policy.engine,
            select(Revision.rested)
            .where(Revision.draft_id == Draft.id, Revision.version == Draft.version)
            .scalar_subquery(),
        )
        .select_from(Draft)
        .outerjoin(Regeneration, Regeneration.id == Draft.regeneration_id)
        .outerjoin(anchor, anchor.id == Regeneration.anchor_id)
        .outerjoin(displaced, displaced.id == Regeneration.displaced_id)
        .outerjoin(displaced_run, displaced_run.id == displaced.regeneration_id)
        .outerjoin(Policy, Policy.id == Regeneration.policy_id)
        .where(Draft.id == bindparam("draft"))
    )


_AROUND = _around()
_TASK = (
    select(Sample, Project)
    .join(Project, Project.id == Sample.project_id)
    .where(Sample.id == bindparam("sample"))
)
_IMAGES = (
    select(SampleImage.position, Image.sha256, Image.width, Image.height)
    .join(Image, Image.sha256 == SampleImage.sha256)
    .where(SampleImage.sample_id == bindparam("sample"))
    .order_by(SampleImage.position)
)
_UNSAVED = (
    select(Segment, Sample.language, UnsavedEdit.text)
    .join(Sample, Sample.id == Segment.sample_id)
    .join(UnsavedEdit, UnsavedEdit.segment_id == Segment.id)
    .where(UnsavedEdit.draft_id == bindparam("draft"))
    .order_by(Segment.depth)
)


def workspace(db: Session, *, draft: Draft, read_only: bool = False) -> WorkspaceView:
    """The whole page of a draft."""
    sample, project = db.execute(_TASK, {"sample": draft.sample_id}).one()
    images = db.execute(_IMAGES, {"sample": draft.sample_id})
    reading = _Reading(db, draft)
    return WorkspaceView(
        draft_id=draft.id,
        version=draft.version,
        sample_id=sample.id,
        source_id=sample.source_id,
        title=sample.title,
        context=Context.from_json(sample.system, sample.turns, sample.image_places),
        instruction=sample.instruction,
        guidelines=project.guidelines,
        project_title=project.title,
        language=sample.language,
        images=tuple(ImageView(*row) for row in images),
        segments=tuple(reading.view(line) for line in reading.path),
        run=reading.run_view(),
        superseded=reading.superseded_view(),
        progress=reading.progress(),
        finished_at=draft.finished_at,
        updated_at=draft.updated_at,
        can_undo=reading.can_undo,
        rested=reading.rested,
        open_end=reading.open_end(),
        read_only=read_only or draft.finished_at is not None,
        orphans=reading.orphans(),
    )


def segment(db: Session, *, draft: Draft, segment_id: int) -> SegmentView:
    """One segment of the draft's path. Raises NotFound when it is not on it."""
    reading = _Reading(db, draft)
    return reading.view(reading.line(segment_id))


def editor(db: Session, *, draft: Draft, segment_id: int) -> EditorView:
    """The editing card of a segment on the path."""
    reading = _Reading(db, draft)
    line = reading.line(segment_id)
    human = line.origin is Origin.HUMAN
    base = shown(line.replaced if line.replaced is not None else line.text)
    text = line.unsaved if line.unsaved is not None else shown(line.text)
    changes = word_diff(base, text)
    inserted, deleted = tally(changes)
    following = reading.path[line.number :]
    return EditorView(
        segment=reading.view(line),
        base=base,
        of_model=not human or line.replaced is not None,
        ends_output=line.ends_output,
        makes_pair=not human or line.stands_for_model,
        text=text,
        changes=changes,
        inserted=inserted,
        deleted=deleted,
        following=len(following),
        reviewed=sum(later.verdict is not None for later in following),
        can_merge=bool(following),
    )


def saved(db: Session, *, draft: Draft, segment_id: int | None) -> SavedView:
    """What the page must redraw after a step: the segment (None: not on the path) and the rest."""
    reading = _Reading(db, draft)
    line = next((line for line in reading.path if line.id == segment_id), None)
    return SavedView(
        version=draft.version,
        segment=reading.view(line) if line else None,
        run=reading.run_view(),
        superseded=reading.superseded_view(),
        progress=reading.progress(),
        can_undo=reading.can_undo,
        rested=reading.rested,
        open_end=reading.open_end(),
    )


def progress(db: Session, *, draft: Draft) -> Progress:
    """How far a draft is."""
    return _Reading(db, draft).progress()


def superseded(db: Session, *, draft: Draft, regeneration_id: int) -> SupersededView:
    """The continuation that a regeneration replaced, with its segments."""
    run = db.get(Regeneration, regeneration_id)
    if run is None or run.draft_id != draft.id:
        raise NotFound("This sample has no such run.")
    view = displaced(db, draft=draft, run=run)
    if view is None:
        raise NotFound("This run replaced nothing.")
    return view


def displaced(db: Session, *, draft: Draft, run: Regeneration) -> SupersededView | None:
    """What a run replaced, segment by segment; None when it replaced nothing."""
    old = lines(db, draft, run.displaced_id)[run.displaced_depth :]
    if not old:
        return None
    return SupersededView(
        regeneration_id=run.id,
        number=run_number(db, old[-1].generated_by),
        after_number=depth_of(db, run.anchor_id),
        count=len(old),
        segments=tuple(segment_view(line, None) for line in old),
    )


def conflict(db: Session, *, draft: Draft, segment_id: int, mine: str) -> ConflictView:
    """Both versions of a segment after a stale save: the present text, and the typed one."""
    reading = _Reading(db, draft)
    parent_id = db.scalar(select(Segment.parent_id).where(Segment.id == segment_id))
    line = next((line for line in reading.path if line.parent_id == parent_id), None)
    theirs = shown(line.text) if line else None
    return ConflictView(
        draft_id=draft.id,
        version=draft.version,
        segment_id=segment_id,
        number=line.number if line else None,
        saved_at=draft.updated_at,
        theirs=theirs,
        mine=mine,
        changes=word_diff(theirs, mine) if theirs is not None else (),
    )


def run_number(db: Session, regeneration_id: int | None) -> int:
    """The number of a run; 1 is the imported output."""
    if regeneration_id is None:
        return 1
    return db.scalar(_NUMBER, {"run": regeneration_id}) or 1


def depth_of(db: Session, segment_id: int) -> int:
    """The number of a segment in its output; 0 for the root."""
    return db.scalars(_DEPTH, {"segment": segment_id}).one()


class _Around(NamedTuple):
    """Whether a step can be undone; the draft's run, and of that, None without one: the depths of
    its anchor and of the leaf that it displaces, the number of the run that wrote that leaf, and
    what its policy is run by. rested: how many pairs the last step left without their text."""

    can_undo: bool
    run: Regeneration | None
    anchor_depth: int | None
    displaced_depth: int | None
    displaced_number: int
    engine: str | None
    rested: int | None


class _Reading:
    """One draft's path and run, read once for all parts of a view."""

    def __init__(self, db: Session, draft: Draft) -> None:
        self._db = db
        self._draft = draft
        self._around = _Around(*db.execute(_AROUND, {"draft": draft.id}).one())
        self.run, self.can_undo = self._around.run, self._around.can_undo
        self.rested = self._around.rested or 0
        self.path = lines(db, draft, self.run.leaf_id if self.run else draft.head_id)
        self._unfinished = self.run is not None and self.run.state in UNFINISHED
        self._after = anchor_number(self.path, self.run)

    def line(self, segment_id: int) -> Line:
        found = next((line for line in self.path if line.id == segment_id), None)
        if found is None:
            raise NotFound("This segment is no longer part of the text. Reload the page.")
        return found

    def view(self, line: Line) -> SegmentView:
        return segment_view(line, self._after)

    def progress(self) -> Progress:
        depth = self._around.displaced_depth if self._unfinished else None
        return progress_view(self.path, self._after, displaced_depth=depth)

    def open_end(self) -> OpenEnd | None:
        """Whatever became of the last run, or of the steps since: what counts is the last text."""
        if self._unfinished or (self.path and self.path[-1].ends_output):
            return None
        if self.run is not None and self.run.state is RunState.FAILED:
            return OpenEnd.FAILED
        return OpenEnd.STOPPED if self.path else OpenEnd.EMPTY

    def run_view(self) -> RunView | None:
        run = self.run
        if run is None:
            return None
        undecided = self._unfinished and run.undecided
        tail = ""
        if run.written > run.cut:
            chunks = self._db.scalars(
                select(Chunk.text)
                .where(
                    Chunk.regeneration_id == run.id,
                    Chunk.start + func.length(Chunk.text) > run.cut,
                )
                .order_by(Chunk.start)
            )
            kept = "".join(chunks)
            tail = kept[len(kept) - (run.written - run.cut) :]
        written = self.path[self._after or 0 :]
        count = sum(words(line.text) for line in written) + words(tail)
        return RunView(
            id=run.id,
            number=run.number,
            state=run.state,
            after_number=self._around.anchor_depth or 0,
            segments=len(written),
            words=count,
            # The gap between attempts is unknown, so report no speed.
            words_per_s=_speed(count, run.first_text_at, run.finished_at)
            if run.attempt <= 1
            else None,
            tail=tail,
            tail_image_index=None,
            after=f"{run.id}:{run.written}",
            error=run.error,
            replays=self._around.engine == REPLAY_ENGINE,
            version=self._draft.version,
            wanted_candidates=run.candidates if undecided else 0,
            candidates=self._candidates(run) if undecided else (),
        )

    def _candidates(self, run: Regeneration) -> tuple[CandidateView, ...]:
        language = self._db.get_one(Sample, self._draft.sample_id).language
        return tuple(
            CandidateView(one.id, key, shown(one.text), language, one.ends_output)
            for key, one in enumerate(regenerations.candidates(self._db, run), start=1)
        )

    def superseded_view(self) -> SupersededView | None:
        """The summary only: its segments are read when somebody opens it."""
        run = self.run
        if run is None:
            return None
        count = (self._around.displaced_depth or 0) - run.displaced_depth
        if count <= 0:
            return None
        return SupersededView(
            regeneration_id=run.id,
            number=self._around.displaced_number,
            after_number=self._around.anchor_depth or 0,
            count=count,
        )

    def orphans(self) -> tuple[SegmentView, ...]:
        on_path = {line.id for line in self.path}
        rows = self._db.execute(_UNSAVED, {"draft": self._draft.id})
        return tuple(
            SegmentView(
                id=row.id,
                number=row.depth,
                text=shown(row.text),
                state=State.STALE,
                language=language,
                image_index=row.image_index,
                unsaved=unsaved,
            )
            for row, language, unsaved in rows
            if row.id not in on_path
        )


def _speed(count: int, since: datetime | None, until: datetime | None) -> float | None:
    """Words a second; None before the first text and in the first half second."""
    if since is None:
        return None
    seconds = ((until or now()) - since).total_seconds()
    return count / seconds if seconds >= 0.5 else None
