"""When texts are written: all of them with the tick, a first one before it."""

import asyncio

import pytest

from app.database.notifications import Hub
from tests.worker.conftest import Studio, lecture, until
from worker.database import Database
from worker.streams import Stream
from worker.writer import Writer


def test_a_first_text_waits_neither_for_the_tick_nor_for_the_texts_of_others(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.writer.TICK_S", 3600)
    other = Stream(studio.start(studio.correct(3, "captivating realm", "wide field")))
    studio.new_draft(lecture(8))
    new = Stream(studio.start(studio.correct(3, "captivating realm", "wide field")))

    async def scenario() -> None:
        database = Database(studio.sessions, Hub(studio.url))
        writer = Writer(database, lease_s=3600)
        writing = asyncio.create_task(writer.run())
        for stream, text in ((other, "The first"), (other, " and more"), (new, "Another")):
            if stream.id not in writer.streams:
                writer.add(stream)
            stream.feed(text)
            writer.touch(at_once=stream.fresh)
            if text != " and more":
                await until(lambda stream=stream: not stream.fresh)  # type: ignore[misc]
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        database.close()

    asyncio.run(scenario())
    assert studio.written(new.id) == "Another"
    assert studio.written(other.id) == "The first"
