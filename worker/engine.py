"""The engine interface: continue a prefix as a stream of text."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from app.domain.certainty import Token
from app.policies.loading import Adapter
from app.regenerations import Work


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """The model that an engine writes with; a row of policies, found again by its name.

    served_name: what its server calls it.
    """

    name: str
    engine: str
    base_model: str = ""
    served_name: str = ""
    revision: str = ""
    adapter: str = ""
    template_hash: str = ""
    round: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of text, and on the last one why the engine stopped.

    stop_reason: "stop" when the model ended its output by itself, "length" at a limit, or what
    else the engine says; None before the end. text may be empty. tokens: those that lie wholly in
    the text so far, each exactly once and in order; none from an engine that does not know them.
    """

    text: str
    stop_reason: str | None = None
    tokens: tuple[Token, ...] = ()


class Failure(StrEnum):
    """What kind of thing went wrong: a closed set, for figures; the message says it in words."""

    # The server does not answer, is silent, or breaks off.
    AWAY = "away"
    BUSY = "busy"
    TOO_LONG = "too_long"
    REFUSED = "refused"
    # An image of the sample that cannot be read.
    IMAGE = "image"
    ADAPTER = "adapter"
    # What the engine sent cannot be stored.
    TEXT = "text"
    # It is no chat completion.
    MALFORMED = "malformed"
    # It repeats the text that it was to continue.
    REPEATED = "repeated"
    CRASHED = "crashed"
    # The worker that held it died; found by another one.
    LOST = "lost"


class EngineError(Exception):
    """The engine cannot write this. message: a sentence for the annotator.

    temporary: another attempt, later or by another worker, may succeed. counts: such an attempt is
    one of the regeneration's five failures from the first on. reason: by default that the engine
    is away, or that it refuses the text.
    """

    def __init__(
        self,
        message: str,
        *,
        temporary: bool,
        counts: bool = False,
        reason: Failure | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.temporary = temporary
        self.counts = counts
        self.reason = reason or (Failure.AWAY if temporary else Failure.REFUSED)


class AdapterError(EngineError):
    """The server does not take an adapter, and would not if it were asked again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, temporary=False, reason=Failure.ADAPTER)


class Engine(Protocol):
    """An engine serves any number of streams at once on one event loop.

    What else it needs (the bytes of an image by its SHA-256, an address, sessions) it is given
    when it is made.
    """

    @property
    def policy(self) -> PolicyFacts:
        """The policy of what is written from now on."""
        ...

    async def check(self) -> None:
        """Called before the first job. Raises EngineError with what is wrong, in plain words."""
        ...

    def stream(self, work: Work) -> AsyncGenerator[Delta, None]:
        """The text that follows work.prompt.prefix, exactly as it comes.

        Closing the generator (aclose) aborts the request. Raises EngineError.
        """
        ...


@runtime_checkable
class TakesAdapters(Protocol):
    """An engine whose server can load adapters while it runs, and writes with several at once."""

    async def load(self, adapter: Adapter) -> str:
        """Make it ready: a work whose `adapter` is its served name is written with it from now on.

        Loading it again is fine; a server that has lost it gets it again. Returns what an admin
        should know, "" if nothing. Raises AdapterError, and a temporary EngineError.
        """
        ...
