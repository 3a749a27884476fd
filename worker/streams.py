"""Text on its way from the engine to the database: what each stream still has to write."""

import asyncio
from dataclasses import dataclass, field

from app.domain.segments import Piece, Splitter
from app.domain.text import defect
from app.regenerations import Cut, Ending, Portion, Work
from worker.engine import EngineError, Failure


@dataclass(frozen=True, slots=True)
class Release:
    """Another attempt is to go on.

    error: a failure that counts, and why; None when the worker stops or its engine is away.
    """

    error: str | None = None
    delay_s: float = 0


@dataclass(slots=True, eq=False)
class Stream:
    """One attempt: the text that came and is not written yet, cut into segments as it comes."""

    work: Work
    pending: list[str] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    ending: Ending | None = None
    release: Release | None = None
    reader: asyncio.Task[None] | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    written_at: float = 0
    # No text of this attempt has been written: its first words are what somebody waits for.
    fresh: bool = True
    # Ask the database at once whether this attempt still holds the regeneration.
    doubted: bool = False
    _start: int = field(init=False)
    _end: int = field(init=False)
    _splitter: Splitter = field(init=False)

    def __post_init__(self) -> None:
        work = self.work
        self._start = len(work.kept)
        self._splitter = Splitter(work.rule, images=len(work.prompt.images), before=work.before)
        known = sum(len(piece.text) for piece in self._splitter.feed(work.kept))
        if known != work.cut:
            # The project's rule has changed since an earlier attempt: go on from its last segment.
            self._splitter = Splitter(
                work.rule,
                images=len(work.prompt.images),
                before=work.before + work.kept[: work.cut],
            )
            self._end = work.cut
            self._cut(self._splitter.feed(work.kept[work.cut :]))
        else:
            self._end = known

    @property
    def id(self) -> int:
        """The regeneration's id."""
        return self.work.regeneration_id

    @property
    def over(self) -> bool:
        """The engine has nothing more to say, or is not asked any more."""
        return self.ending is not None or self.release is not None

    def feed(self, text: str) -> None:
        """Take text from the engine; after the end nothing is taken any more.

        Raises EngineError for text that cannot be stored.
        """
        if self.over:
            return
        if problem := defect(text):
            raise EngineError(
                f"The engine sent what cannot be stored. {problem}",
                temporary=False,
                reason=Failure.TEXT,
            )
        if text:
            self.pending.append(text)
            self._cut(self._splitter.feed(text))

    def end(self, ending: Ending) -> None:
        """Nothing more will come; what is left is the last segment."""
        if not self.over:
            last = self._splitter.close()
            # Blanks alone after a text that was cut off are no segment.
            if ending.error is None or any(piece.text.strip() for piece in last):
                self._cut(last)
            self.ending = ending

    def hand_back(self, release: Release) -> None:
        """Another attempt is to go on after what came so far."""
        if not self.over:
            self.release = release

    def portion(self) -> Portion:
        """What is to be written now."""
        return Portion(
            regeneration_id=self.id,
            attempt=self.work.attempt,
            start=self._start,
            text="".join(self.pending),
            cuts=tuple(self.cuts),
            ending=self.ending,
        )

    def wrote(self, portion: Portion) -> None:
        """A portion stands in the database; what came since stays pending."""
        left = "".join(self.pending)[len(portion.text) :]
        self.pending = [left] if left else []
        self.cuts = self.cuts[len(portion.cuts) :]
        self._start += len(portion.text)
        self.fresh = self.fresh and not portion.text

    def close(self) -> None:
        """Nobody needs this attempt any more: whoever waits for it goes on, the engine stops."""
        self.closed.set()
        if self.reader is not None:
            self.reader.cancel()

    def _cut(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self._end += len(piece.text)
            self.cuts.append(Cut(self._end, piece.text, piece.image_index))
