"""The values that the workspace's templates render: frozen, and read by nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.domain.certainty import WeakWord, marked, percent
from app.domain.conversation import Context
from app.domain.diffs import Change
from app.models import BEING_WRITTEN, UNFINISHED, Action, RunState


class State(StrEnum):
    """The state of a segment; also names the icons and rails."""

    UNTOUCHED = "untouched"
    ACCEPTED = "accepted"
    EDITED = "edited"
    NEW = "new"
    WRITING = "writing"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image of the sample; index is 0-based, width and height are the original's, in pixels."""

    index: int
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SegmentView:
    """A segment on the path. number is 1-based. original and changes: only when it is edited.

    certainty: the mean log-probability of its tokens, None where it is not known. weak: the words
    that the model was least sure of.
    """

    id: int
    number: int
    text: str
    state: State
    language: str
    image_index: int | None
    original: str | None = None
    changes: tuple[Change, ...] | None = None
    unsaved: str | None = None
    note: str = ""
    kind: str | None = None
    generated: bool = False
    certainty: float | None = None
    weak: tuple[WeakWord, ...] = ()

    @property
    def pieces(self) -> tuple[tuple[str, WeakWord | None], ...]:
        """The text in pieces, each weak word by itself; they join to the text exactly."""
        return tuple(marked(self.text, self.weak))

    @property
    def percent(self) -> int | None:
        """The certainty as the probability of a token, in percent."""
        return None if self.certainty is None else percent(self.certainty)


@dataclass(frozen=True, slots=True)
class EditorView:
    """The editing card. base is the text that the live diff compares with.

    of_model: that is a model's text, not one that a person wrote and that replaced nothing here.
    makes_pair: saving another text makes a preference pair; it has no rejected side otherwise.

    following: later segments on the path; reviewed: those of them that have a verdict.
    """

    segment: SegmentView
    base: str
    of_model: bool
    ends_output: bool
    makes_pair: bool
    text: str
    changes: tuple[Change, ...]
    inserted: int
    deleted: int
    following: int
    reviewed: int
    can_merge: bool


@dataclass(frozen=True, slots=True)
class CandidateView:
    """A way to go on that is offered. key: the digit that chooses it."""

    id: int
    key: int
    text: str
    language: str
    ends_output: bool


@dataclass(frozen=True, slots=True)
class RunView:
    """The current regeneration. tail: text not cut into a segment yet; after: where to resume."""

    id: int
    number: int
    state: RunState
    after_number: int
    segments: int
    words: int
    words_per_s: float | None
    tail: str
    tail_image_index: int | None
    after: str
    error: str | None
    replays: bool
    # Of the draft, for a choice: what is chosen must still be offered.
    version: int
    # How many candidates are wanted for the first segment while it is not chosen, else 0.
    wanted_candidates: int = 0
    candidates: tuple[CandidateView, ...] = ()

    @property
    def unfinished(self) -> bool:
        """More text is to come."""
        return self.state in UNFINISHED

    @property
    def being_written(self) -> bool:
        """Somebody writes, or will without being asked."""
        return self.state in BEING_WRITTEN

    @property
    def waits(self) -> bool:
        """It goes on when its annotator has it do so."""
        return self.state is RunState.WAITING


@dataclass(frozen=True, slots=True)
class SupersededView:
    """The continuation that a regeneration replaced. number: its run (1 is the imported output)."""

    regeneration_id: int
    number: int
    after_number: int
    count: int
    segments: tuple[SegmentView, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """cells: the state of each segment in order; expected: about how many there will be.

    knows_certainty: some segment's certainty is known; unsure: in how many of them without a
    verdict.
    """

    cells: tuple[State, ...]
    done: int
    expected: int
    running: bool
    knows_certainty: bool = False
    unsure: int = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """Segments per filter: all, todo, edited, accepted, unsure."""
        return {
            "all": len(self.cells),
            "todo": sum(c in (State.UNTOUCHED, State.NEW) for c in self.cells),
            "edited": sum(c is State.EDITED for c in self.cells),
            "accepted": sum(c is State.ACCEPTED for c in self.cells),
            "unsure": self.unsure,
        }


class OpenEnd(StrEnum):
    """The state of an unfinished text that no run is writing: the page offers to continue it."""

    EMPTY = "empty"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """One draft, whole. open_end: None while the text is complete, being written or waiting."""

    draft_id: int
    version: int
    sample_id: int
    source_id: str
    title: str
    context: Context
    instruction: str
    guidelines: str
    project_title: str
    language: str
    images: tuple[ImageView, ...]
    segments: tuple[SegmentView, ...]
    run: RunView | None
    superseded: SupersededView | None
    progress: Progress
    finished_at: datetime | None
    updated_at: datetime
    can_undo: bool
    # How many pairs the last step left without their text: they count no more.
    rested: int
    open_end: OpenEnd | None
    read_only: bool
    # What was typed and not saved for a segment that has left the path: offered, never dropped.
    orphans: tuple[SegmentView, ...] = ()


@dataclass(frozen=True, slots=True)
class SavedView:
    """What a save changes beside the segment itself."""

    version: int
    segment: SegmentView | None
    run: RunView | None
    superseded: SupersededView | None
    progress: Progress
    can_undo: bool
    # How many pairs the last step left without their text: they count no more.
    rested: int
    open_end: OpenEnd | None


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A row of Compare: None where a side has no counterpart; same when both texts are equal."""

    old_number: int | None
    new_number: int | None
    old: tuple[Change, ...]
    new: tuple[Change, ...]
    same: bool


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """Two continuations after the same place, row by row."""

    regeneration_id: int
    old_run: int
    new_run: int
    after_number: int
    rows: tuple[ComparedRow, ...]


@dataclass(frozen=True, slots=True)
class VersionView:
    """A present or past text in one position of the draft."""

    segment_id: int
    text: str
    origin: str
    run: int | None
    created_at: datetime
    current: bool
    candidate: bool


@dataclass(frozen=True, slots=True)
class RevisionView:
    """A step of the draft's history. rested: how many pairs it left without their text."""

    version: int
    action: Action
    number: int | None
    at: datetime
    undone: bool
    rested: int


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A continuation in the history; regeneration_id None: the imported output."""

    regeneration_id: int | None
    number: int
    state: RunState
    after_number: int
    at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class HistoryView:
    """Facts, versions and continuations for one segment, and the draft's last steps."""

    segment: SegmentView
    words: int
    policy: str | None
    versions: tuple[VersionView, ...]
    runs: tuple[RunSummary, ...]
    revisions: tuple[RevisionView, ...]


@dataclass(frozen=True, slots=True)
class ConflictView:
    """A stale save: the text on the server now, and the text that was refused."""

    draft_id: int
    version: int
    segment_id: int
    number: int | None
    saved_at: datetime
    theirs: str | None
    mine: str
    changes: tuple[Change, ...]


Preferences = Mapping[str, Any]
