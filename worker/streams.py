"""Streams between engine and database: the text that each stream still has to write."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.domain.certainty import Token
from app.domain.messages import Message
from app.domain.segments import Piece, Splitter
from app.domain.text import defect
from app.domain.tree import MAX_SEGMENTS
from app.regenerations import Cut, Ending, Portion, Work
from worker.certainty import Scales
from worker.engine import EngineError, Failure


@dataclass(frozen=True, slots=True)
class Release:
    """Another attempt is to go on.

    error: a failure that counts, and why; None when the worker stops or its engine is away.
    """

    error: str | None = None
    delay_s: float = 0


# The text behind the last complete segment becomes one as well.
_MOST = MAX_SEGMENTS - 1


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
    # Segments that this attempt has finished.
    _finished: int = field(init=False, default=0)
    _splitter: Splitter = field(init=False)
    _scales: Scales = field(init=False)
    # How long the path is with the segments that are complete.
    _depth: int = field(init=False)
    # Complete, but the log-probabilities of their last tokens have not come: where each ends.
    _held: deque[tuple[int, Piece]] = field(init=False, default_factory=deque)

    def __post_init__(self) -> None:
        work = self.work
        self._start = len(work.kept)
        self._depth = work.depth
        self._scales = Scales(self._start)
        self._splitter = work.cutting.splitter(work.before)
        known = sum(len(piece.text) for piece in self._splitter.feed(work.kept))
        if known != work.cut:
            # The project's rule has changed since an earlier attempt, or this one died with
            # segments that it had not written: go on from the last one that is there.
            cutting = work.rest or work.cutting
            self._splitter = cutting.splitter(work.before + work.kept[: work.cut])
            self._end = work.cut
            self._cut(self._splitter.feed(work.kept[work.cut :]))
            self._release()
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

    @property
    def enough(self) -> bool:
        """As many segments are finished as the annotator will read soon."""
        return self.work.room is not None and self._finished >= self.work.room

    def feed(self, text: str, tokens: Iterable[Token] = ()) -> None:
        """Take text from the engine; after the end nothing is taken any more.

        tokens: those that lie in the text so far, as far as they are known, each once.
        Raises EngineError for text that cannot be stored.
        """
        if self.over:
            return
        if problem := defect(text):
            raise EngineError(
                Message("The engine sent text that cannot be stored. %(problem)s", problem=problem),
                temporary=False,
                reason=Failure.TEXT,
            )
        self._scales.add(tokens)
        if text:
            self.pending.append(text)
            self._cut(self._splitter.feed(text))
        self._release()
        if self._depth >= _MOST:
            raise EngineError(
                Message(
                    "The text has reached %(most)s segments, the maximum for a sample.",
                    most=f"{MAX_SEGMENTS:,}",
                ),
                temporary=False,
                reason=Failure.TEXT,
            )

    def end(self, ending: Ending) -> None:
        """Nothing more will come; what is left is the last segment."""
        if not self.over:
            last = self._splitter.close()
            # Blanks alone after a text that was cut off are no segment.
            if ending.error is None or any(piece.text.strip() for piece in last):
                self._cut(last)
            self._release(waiting=False)
            self.ending = ending

    def wait(self) -> None:
        """Nothing more is wanted for now; what came beyond the last segment is kept as well."""
        if not self.over:
            self._release(waiting=False)
            self.ending = Ending(waits=True)

    def hand_back(self, release: Release) -> None:
        """Another attempt is to go on after what came so far."""
        if not self.over:
            self._release(waiting=False)
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
        """Note complete segments; those beyond the most that a path can have become one."""
        room = max(1, _MOST - self._depth)
        if len(pieces) > room:
            rest = "".join(piece.text for piece in pieces[room - 1 :])
            pieces = [*pieces[: room - 1], Piece(rest, pieces[room - 1].image_index)]
        for piece in pieces:
            self._depth += 1
            self._end += len(piece.text)
            self._held.append((self._end, piece))

    def _release(self, *, waiting: bool = True) -> None:
        """Let go of the complete segments. waiting: only of those whose tokens have come."""
        if not self._held:
            return
        written = self._start + sum(map(len, self.pending))
        while self._held:
            end, piece = self._held[0]
            if waiting and not self._scales.is_ready(end, written):
                return
            self._held.popleft()
            self._finished += 1
            certainty = self._scales.weigh(piece.text, end)
            self.cuts.append(Cut(end, piece.text, piece.image_index, certainty))
