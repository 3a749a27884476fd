"""Requests several candidates at once and reads each to the end of its first segment."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app import regenerations
from app.regenerations import Candidate, Ending, Outcome, Work
from worker import metrics
from worker.database import Database, is_away
from worker.engine import Engine, EngineError
from worker.streams import Stream

_BUSY_S = 0.03
_AWAY_S = 0.5


async def offer(stream: Stream, engine: Engine, database: Database) -> bool:
    """Store the candidates that the stream's work still lacks, then let the annotator choose.

    They are asked for at the same time and stored one by one, as they are ready. Returns whether
    this attempt has brought it to its end; False: it is not the holder any more. Raises EngineError
    as soon as one cannot be written; those that are stored stay.
    """
    work = stream.work
    assert work.candidates is not None  # noqa: S101 - asked by the caller
    tasks = [
        asyncio.create_task(
            _offer_one(replace(work, candidate=index), stream, engine, database),
            name=f"candidate {index} of {stream.id}",
        )
        for index in work.candidates
    ]
    try:
        held = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return all(held) and await _stored(
        stream,
        database,
        lambda db: regenerations.settle(db, regeneration_id=stream.id, attempt=work.attempt),
    )


async def _offer_one(work: Work, stream: Stream, engine: Engine, database: Database) -> bool:
    found = await _first_segment(work, engine)
    if found is None:
        return True
    return await _stored(stream, database, lambda db: regenerations.offer(db, found))


async def _first_segment(work: Work, engine: Engine) -> Candidate | None:
    """The candidate that an engine gives; None when it has nothing to add."""
    assert work.candidate is not None  # noqa: S101 - set above
    one = Stream(work)
    meter = metrics.Meter()
    async with aclosing(engine.stream(work)) as deltas:
        async for delta in deltas:
            meter.take(delta)
            one.feed(delta.text, delta.tokens)
            if delta.stop_reason is not None:
                one.end(Ending(stop_reason=delta.stop_reason))
            elif one.cuts:
                break
    if not one.over and not one.cuts:
        raise EngineError("The engine stopped before the text was complete.", temporary=True)
    if not one.cuts or not one.cuts[0].text.strip():
        return None
    last = one.ending is not None and len(one.cuts) == 1
    return Candidate(
        regeneration_id=work.regeneration_id,
        attempt=work.attempt,
        index=work.candidate,
        cut=one.cuts[0],
        ends_output=last and one.ending is not None and one.ending.ends_output,
    )


async def _stored(stream: Stream, database: Database, store: Callable[[Session], Outcome]) -> bool:
    """Store it, once the row is free and the database there; False: the attempt is lost."""
    while not stream.closed.is_set():
        try:
            outcome = await database.do(store)
        except DBAPIError as error:
            if not is_away(error):
                raise
            await asyncio.sleep(_AWAY_S)
            continue
        if outcome is not Outcome.BUSY:
            return outcome is Outcome.WRITTEN
        await asyncio.sleep(_BUSY_S)
    return False
