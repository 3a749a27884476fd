"""The engine without a model: the sample's own words once more, at a reading pace."""

import asyncio
from collections.abc import AsyncGenerator, Iterator

from app.database.sessions import Sessions
from app.domain.corrections import REPLAY_ENGINE
from app.domain.messages import Message
from app.domain.words import tokens
from app.regenerations import Work
from worker.engine import Delta, EngineError, PolicyFacts
from worker.replay_source import Source

# So often a piece of text comes; a model that writes fast gives it in about such pieces.
_BEAT_S = 0.04


class ReplayEngine:
    """Continues with what followed before, the annotator's words carried on; deterministic."""

    policy = PolicyFacts(name=REPLAY_ENGINE, engine=REPLAY_ENGINE)

    def __init__(self, sessions: Sessions, *, words_per_s: float) -> None:
        self._sessions = sessions
        self._words_per_s = words_per_s

    async def check(self) -> None:
        """There is nothing that could be missing."""

    async def stream(self, work: Work) -> AsyncGenerator[Delta, None]:
        """The rest of the replayed text: its first words at once, the others at their pace."""
        try:
            rest = await asyncio.to_thread(self._rest, work)
        except ValueError as error:
            raise EngineError(
                Message("The demo engine cannot continue this text. %(error)s", error=error),
                temporary=False,
            ) from error
        clock = asyncio.get_running_loop()
        due = clock.time()
        for text, count in _portions(rest, max(1, round(self._words_per_s * _BEAT_S))):
            yield Delta(text)
            due += count / self._words_per_s
            await asyncio.sleep(max(0.0, due - clock.time()))
        yield Delta("", stop_reason="stop")

    def _rest(self, work: Work) -> str:
        with self._sessions() as db:
            return Source(db, work).rest()


def _portions(text: str, size: int) -> Iterator[tuple[str, int]]:
    """The text in pieces of about `size` words, with the number of words; the first has one."""
    parts: list[str] = []
    count = 0
    wanted = 1
    # Line by line, so that the first words need not wait for the last to be found.
    for line in text.splitlines(keepends=True):
        for token in tokens(line):
            parts.append(token)
            count += not token.isspace()
            if count >= wanted:
                yield "".join(parts), count
                parts, count, wanted = [], 0, size
    if parts:
        yield "".join(parts), count
