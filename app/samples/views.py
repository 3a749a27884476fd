"""What the pages of samples show."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.domain.conversation import Context
from app.domain.segments import RuleKind


class SampleState(StrEnum):
    """How far a sample is; done when as many annotators have finished as the project asks for."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class DraftView:
    """An annotator's work on a sample. reviewed of segments have a verdict; expected: about how
    many there will be, more than there are while text is to come."""

    id: int
    annotator: str
    reviewed: int
    segments: int
    expected: int
    updated_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class SampleRow:
    """A sample in the list of its project. segments: of the imported output."""

    id: int
    source_id: str
    title: str
    language: str
    images: int
    segments: int
    state: SampleState
    drafts: tuple[DraftView, ...]


@dataclass(frozen=True, slots=True)
class SampleList:
    """One page of a project's samples. after: where the next page begins; None on the last."""

    rows: tuple[SampleRow, ...]
    after: int | None


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image of a sample. position: from 0."""

    position: int
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SegmentText:
    """A segment of the imported output. image_index: from 0; None if it speaks of no image."""

    text: str
    image_index: int | None


@dataclass(frozen=True, slots=True)
class SampleView:
    """A sample with everything that its page shows.

    rule: what it is cut by where that is not the project's rule. drafts: empty for who may not see
    them.
    """

    id: int
    project_id: int
    project_title: str
    source_id: str
    title: str
    context: Context
    instruction: str
    language: str
    target_words: int | None
    words: int
    policy: str | None
    rule: RuleKind | None
    metadata: Mapping[str, Any]
    created_at: datetime
    images: tuple[ImageView, ...]
    segments: tuple[SegmentText, ...]
    drafts: tuple[DraftView, ...]
    own_draft_id: int | None
    annotators_wanted: int
