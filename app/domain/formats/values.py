"""What exports are made of: pairs, judgements and whole outputs, with all that a trainer needs.

In all of them `sample` is the sample's source id, `images` the SHA-256 of each image in order,
`image_files` their paths in an export, `context` what the model reads around the instruction, and
times are aware.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.conversation import NO_CONTEXT, Context
from app.domain.corrections import Verdict
from app.domain.prompts import ChatPrompt
from app.domain.tree import Origin


@dataclass(frozen=True, slots=True)
class Pair:
    """A correction.

    ends_output: the model stopped after the segment. position: 0-based, in segments. policy: the
    model that wrote the rejected side, None if unknown.
    Raises ValueError when a side is empty, both are equal, or images and files differ in number.
    """

    pair_id: int
    project: str
    sample: str
    images: tuple[str, ...]
    image_files: tuple[str, ...]
    instruction: str
    prefix: str
    chosen: str
    rejected: str
    ends_output: bool
    on_policy: bool
    position: int
    annotator: str
    policy: str | None
    kind: str
    created_at: datetime
    context: Context = NO_CONTEXT

    @property
    def prompt(self) -> ChatPrompt:
        """What the model is asked, up to the segment."""
        return _prompt(self, self.prefix)

    def __post_init__(self) -> None:
        # A trainer takes an empty side silently and learns nothing from it.
        if not self.chosen or not self.rejected or self.chosen == self.rejected:
            raise ValueError(f"Pair {self.pair_id} needs two different texts, neither empty.")
        _check(f"Pair {self.pair_id}", self.images, self.image_files, self.created_at)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an annotator said of a model's segment without writing another in its place.

    accepted: right as it stands; if not, it was deleted. ends_output: the model stopped after it
    and was right to; never for a rejected one, which would teach where to stop, not what to write.
    paired: the segment is also a side of a pair. position: 0-based, in segments.
    Raises ValueError for an empty text, a rejection that ends the output, or images and files that
    differ in number.
    """

    draft_id: int
    segment_id: int
    project: str
    sample: str
    images: tuple[str, ...]
    image_files: tuple[str, ...]
    instruction: str
    prefix: str
    text: str
    accepted: bool
    ends_output: bool
    on_policy: bool
    paired: bool
    position: int
    annotator: str
    policy: str | None
    created_at: datetime
    context: Context = NO_CONTEXT

    @property
    def prompt(self) -> ChatPrompt:
        """What the model is asked, up to the segment."""
        return _prompt(self, self.prefix)

    @property
    def judgement_id(self) -> str:
        """One draft has one judgement of a segment."""
        return f"{self.draft_id}-{self.segment_id}"

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError(f"Judgement {self.judgement_id} needs a text.")
        if self.ends_output and not self.accepted:
            raise ValueError(f"Judgement {self.judgement_id}: what was rejected ends no output.")
        name = f"Judgement {self.judgement_id}"
        _check(name, self.images, self.image_files, self.created_at)


@dataclass(frozen=True, slots=True)
class OutputSegment:
    """A segment of a whole output. verdict: None when its annotator gave none."""

    text: str
    origin: Origin
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class WholeOutput:
    """The text of a finished draft, as its annotator left it.

    ends_output: the model stopped after the last segment, so the text is known to be whole.
    Raises ValueError for a text without segments, or images and files that differ in number.
    """

    draft_id: int
    project: str
    sample: str
    images: tuple[str, ...]
    image_files: tuple[str, ...]
    instruction: str
    segments: tuple[OutputSegment, ...]
    ends_output: bool
    annotator: str
    finished_at: datetime
    context: Context = NO_CONTEXT

    def prompt(self, prefix: str) -> ChatPrompt:
        """What the model is asked, up to the end of a prefix of the text."""
        return _prompt(self, prefix)

    @property
    def text(self) -> str:
        """The whole, exactly."""
        return "".join(segment.text for segment in self.segments)

    def __post_init__(self) -> None:
        if not self.segments or not all(segment.text for segment in self.segments):
            raise ValueError(f"Output {self.draft_id} needs segments, none of them empty.")
        _check(f"Output {self.draft_id}", self.images, self.image_files, self.finished_at)


def _prompt(item: Pair | Judgement | WholeOutput, prefix: str) -> ChatPrompt:
    context = item.context
    return ChatPrompt(context.system, item.images, item.instruction, prefix, context)


def _check(name: str, images: Sequence[str], files: Sequence[str], moment: datetime) -> None:
    if len(images) != len(files):
        raise ValueError(f"{name} needs one file for each image.")
    if moment.tzinfo is None:
        raise ValueError(f"{name} needs a time with its zone.")
