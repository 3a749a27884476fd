"""Reads and renders new text once for all streams of this process."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import anyio
from sqlalchemy.orm import Session

from app import regenerations
from app.annotation.views.segments import lines_of, segment_view
from app.regenerations import Followed, News, Position
from app.web.pages import Templates

# Connections and threads that all streams of a process use together, however many they are.
_AT_ONCE = 2


class Reader:
    """Batches reads: streams that ask while a read runs share the next one.

    sessions: each statement must be a transaction of its own (make_reading_sessions).
    """

    def __init__(self, sessions: Callable[[], Session]) -> None:
        self.sessions = sessions
        self.limiter = anyio.CapacityLimiter(_AT_ONCE)
        self._asked: list[tuple[Position, asyncio.Future[News]]] = []
        self._task: asyncio.Task[None] | None = None

    async def read(self, position: Position) -> News:
        """What is new since `position`. Raises SQLAlchemyError while the database is away."""
        future: asyncio.Future[News] = asyncio.get_running_loop().create_future()
        self._asked.append((position, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())
        return await future

    async def _serve(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            positions = [position for position, _ in asked]
            try:
                found = await anyio.to_thread.run_sync(self._news, positions, limiter=self.limiter)
            except Exception as error:  # each reader gets it, and decides
                for _, future in asked:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), news in zip(asked, found, strict=True):
                    if not future.done():
                        future.set_result(news)

    def _news(self, positions: Sequence[Position]) -> list[News]:
        with self.sessions() as db:
            return regenerations.news(db, positions)


class Pages:
    """A draft's news for one page, with its segments in the reader's language.

    read_only: whoever reads the page cannot change the draft.
    """

    def __init__(
        self,
        reader: Reader,
        templates: Templates,
        draft_id: int,
        locale: str,
        *,
        read_only: bool = False,
    ) -> None:
        self._reader = reader
        self._templates = templates
        self._draft_id = draft_id
        self._locale = locale
        self._read_only = read_only

    async def since(self, at: Position) -> tuple[News, list[dict[str, Any]]]:
        """What is new since `at`, and the data of a `seg` event for each new segment."""
        news = await self._reader.read(at)
        if not news.segments:
            return news, []
        rendered = await anyio.to_thread.run_sync(
            self._render, news.segments, limiter=self._reader.limiter
        )
        return news, rendered

    def _render(self, segments: Sequence[Followed]) -> list[dict[str, Any]]:
        ids = [one.segment_id for one in segments]
        with self._reader.sessions() as db:
            found = {line.id: line for line in lines_of(db, self._draft_id, ids)}
        # All of them are the run's: they follow its anchor, which is the root or comes later.
        views = [segment_view(found[one.segment_id], after=0) for one in segments]
        return [
            {
                "segment_id": one.segment_id,
                "start": one.start,
                "end": one.end,
                "number": view.number,
                "html": self._templates.render(
                    "annotation/_segment.html",
                    self._locale,
                    {
                        "segment": view,
                        "draft_id": self._draft_id,
                        "read_only": self._read_only,
                    },
                ),
            }
            for one, view in zip(segments, views, strict=True)
        ]
