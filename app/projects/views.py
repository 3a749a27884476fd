"""What the queue and the project pages show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, TypeVar

from app.models import BEING_WRITTEN, Role, RunState

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Share:
    """Samples by how far they are; done + in_progress + open = total."""

    total: int
    in_progress: int
    done: int

    @property
    def open(self) -> int:
        """Samples that nobody has begun (for a queue: that wait for this user)."""
        return self.total - self.in_progress - self.done


@dataclass(frozen=True, slots=True)
class ProjectCard:
    """A project in a list, with its figures for the viewer."""

    id: int
    name: str
    title: str
    samples: Share
    pairs: int = 0
    members: int = 0
    guidelines: str = ""
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DraftItem:
    """One of the user's drafts in the queue; reviewed and segments count its current path.

    expected: about how many segments there will be; more than there are while text is to come.
    run: the state of its regeneration, None without one.
    """

    draft_id: int
    sample_id: int
    title: str
    source_id: str
    language: str
    project_title: str
    images: int
    reviewed: int
    segments: int
    expected: int
    run: RunState | None
    updated_at: datetime
    finished_at: datetime | None

    @property
    def writing(self) -> bool:
        """More text is being written, or will be without being asked for."""
        return self.run in BEING_WRITTEN

    @property
    def waits(self) -> bool:
        """The text goes on when its annotator chooses how, or reads on."""
        return self.run is RunState.WAITING


@dataclass(frozen=True, slots=True)
class OpenItem:
    """A sample that the user may begin."""

    sample_id: int
    title: str
    source_id: str
    language: str
    project_title: str
    images: int
    target_words: int | None


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A page of a list. next: the cursor of the page that follows; None on the last one."""

    items: tuple[Item, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class PersonView:
    """A member, or someone who has worked in the project before."""

    id: int
    name: str
    display_name: str
    role: Role
    member: bool
    disabled: bool
    in_progress: int
    done: int
    corrections: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class DayCount:
    """Corrections made on a day (UTC)."""

    day: date
    count: int


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project's page for admins. days: oldest first, without gaps."""

    id: int
    name: str
    title: str
    guidelines: str
    archived_at: datetime | None
    annotators_per_sample: int
    samples: Share
    corrections: int
    pairs: int
    people: tuple[PersonView, ...]
    days: tuple[DayCount, ...]

    @property
    def busiest(self) -> int:
        """The largest day's count, at least 1: the scale of the chart."""
        return max([1, *(day.count for day in self.days)])


@dataclass(frozen=True, slots=True)
class FormView:
    """A form as it was sent, with what was wrong by field ("" for the form as a whole)."""

    values: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)
