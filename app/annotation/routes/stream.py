"""Streams a regeneration to the page: server-sent events over the durable rows.

Any app process can serve any stream, and a reader may reconnect at any time. Each event's id is
<regeneration>:<offset>:<cut>, the reader's position, and goes into ?after= or Last-Event-ID.
"""

import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from app import regenerations
from app.access import reading_of
from app.annotation.routes.stream_reader import Pages, Reader
from app.database.notifications import Hub
from app.models import UNFINISHED, Regeneration, RunState
from app.refusals import Invalid, NotFound
from app.regenerations import News, Position
from app.web.dependencies import CurrentUser, Id, SessionDep
from app.web.pages import locale_of
from app.web.rights import claim

HEARTBEAT_S = 15.0
# A notification can be lost with its connection; the next read finds the change.
LOOK_AGAIN_S = 2.0
# Nothing comes until the annotator asks for it; many pages may wait so for hours.
LOOK_AGAIN_WAITING_S = 15.0
_AFTER = re.compile(r"(\d{1,18}):(\d{1,18})(?::(\d{1,18}|done))?\Z")

router = APIRouter()


@router.get("/drafts/{draft_id}/regenerations/{regeneration_id}/stream")
def follow(
    request: Request,
    draft_id: Id,
    regeneration_id: Id,
    db: SessionDep,
    actor: CurrentUser,
    after: str | None = Query(default=None),
    last_event_id: str | None = Header(default=None),
) -> Response:
    """Follow a regeneration; 204 when it has ended and the reader knows."""
    reading = reading_of(db, actor, draft_id)
    claim(request, draft_id=draft_id)
    run = db.get(Regeneration, regeneration_id)
    if run is None or run.draft_id != draft_id:
        raise NotFound("This sample has no such run.")
    offset, cut, done = _parse(after or last_event_id, regeneration_id)
    if done and run.state not in UNFINISHED:
        return Response(status_code=204)
    at = regenerations.position(
        db, regeneration_id=run.id, offset=min(offset, run.written), cut=cut
    )
    locale = locale_of(request, request.app.state.templates.locales)
    pages = Pages(
        _reader(request.app),
        request.app.state.templates,
        draft_id,
        locale,
        read_only=reading.read_only,
    )
    return StreamingResponse(
        _events(request.app.state.hub, pages, at),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(hub: Hub, pages: Pages, at: Position) -> AsyncIterator[bytes]:
    """All that is new, then what comes, until the regeneration has ended or the app does."""
    state: RunState | None = None
    candidates = 0
    sent = time.monotonic()
    async with hub.watch(f"regeneration:{at.regeneration_id}") as watch:
        while True:
            try:
                news, segments = await pages.since(at)
            except SQLAlchemyError:
                # The database is away: it stays silent here, the hub wakes us when it is back.
                news = None
            if news is not None:
                for event, reached in _told(news, segments, at):
                    at = reached
                    yield event
                    sent = time.monotonic()
                if news.candidates != candidates:
                    candidates = news.candidates
                    yield _event("candidates", _id(at), {"count": candidates})
                    sent = time.monotonic()
                if news.state is not state:
                    state = news.state
                    yield _event("state", _id(at), {"state": state, "error": news.error})
                    sent = time.monotonic()
                if state not in UNFINISHED:
                    yield _event("done", f"{at.regeneration_id}:{at.offset}:done", {})
                    return
            if not hub.open:
                return
            waits = state is RunState.WAITING
            await watch.wait(LOOK_AGAIN_WAITING_S if waits else LOOK_AGAIN_S)
            if time.monotonic() - sent >= HEARTBEAT_S:
                yield b":\n\n"
                sent = time.monotonic()


def _told(
    news: News, segments: Sequence[dict[str, Any]], at: Position
) -> Iterator[tuple[bytes, Position]]:
    """The events of some news with the position after each: text first, then what it completes."""
    run, offset, cut = at.regeneration_id, at.offset, at.cut
    for segment in [*segments, None]:
        until = segment["end"] if segment else news.written
        if until > offset:
            start, text = _between(news, offset, until)
            offset = until
            if text:
                at = Position(run, offset, cut)
                yield _event("tok", _id(at), {"start": start, "text": text}), at
        if segment is not None:
            cut = segment["end"]
            at = Position(run, offset, cut)
            yield _event("seg", _id(at), segment), at


def _between(news: News, start: int, end: int) -> tuple[int, str]:
    """The text of [start, end) and where it begins: later, if its beginning was cleared away."""
    at = max(start, news.start)
    return at, news.text[at - news.start : max(0, end - news.start)]


def _parse(after: str | None, regeneration_id: int) -> tuple[int, int | None, bool]:
    """Offset, cut (None: not said) and whether the reader knows of the end."""
    if not after:
        return 0, None, False
    match = _AFTER.match(after)
    if match is None:
        raise Invalid("after must be an event id: <regeneration>:<offset>.", "after")
    run, offset, rest = match.groups()
    if int(run) != regeneration_id:
        return 0, None, False
    if rest == "done":
        return int(offset), int(offset), True
    return int(offset), int(rest) if rest else None, False


def _id(at: Position) -> str:
    return f"{at.regeneration_id}:{at.offset}:{at.cut}"


def _event(name: str, event_id: str, data: dict[str, Any]) -> bytes:
    """One event; JSON keeps blanks and newlines of the text, on one line."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (
        name.encode(),
        event_id.encode(),
        orjson.dumps(data),
    )


def _reader(app: FastAPI) -> Reader:
    """The reader of this process, made by the first stream."""
    if not hasattr(app.state, "reader"):
        app.state.reader = Reader(lambda: app.state.reading_sessions())
    reader: Reader = app.state.reader
    return reader
