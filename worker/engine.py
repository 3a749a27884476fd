"""What the worker asks of an engine: to go on from a prefix, as a stream of text."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from app.domain.certainty import Token
from app.regenerations import Work


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """The model that an engine writes with; a row of policies, found again by its name."""

    name: str
    engine: str
    base_model: str = ""
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


class EngineError(Exception):
    """The engine cannot write this. message: a sentence for the annotator.

    temporary: another attempt, later or by another worker, may succeed.
    """

    def __init__(self, message: str, *, temporary: bool) -> None:
        super().__init__(message)
        self.message = message
        self.temporary = temporary


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
