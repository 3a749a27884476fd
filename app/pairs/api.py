"""The REST API for trainers: pairs as JSON lines with a cursor, and the images they show."""

import hashlib
from email.utils import format_datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from app import access
from app.deps import SessionDep, token_user
from app.pairs import feed
from app.pairs.apidocs import IMAGE_RESPONSES, PAIR_RESPONSES
from app.pairs.ndjson import chunked, gzipped, pair_lines, takes_gzip
from app.security import Actor

NDJSON = "application/x-ndjson"
_LARGEST = 2**63 - 1

router = APIRouter(prefix="/api/v1", tags=["pairs"])

Reader = Annotated[Actor, Depends(token_user("pairs:read"))]
IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of an earlier answer: 304 when nothing has changed.")
]


@router.get(
    "/pairs",
    summary="Preference pairs of a project, as JSON lines",
    response_class=StreamingResponse,
    responses=PAIR_RESPONSES,
)
def pairs(
    request: Request,
    db: SessionDep,
    actor: Reader,
    project: Annotated[str, Query(description="The project's name.", examples=["lectures"])],
    after: Annotated[
        int,
        Query(ge=0, le=_LARGEST, description="A cursor: what stands behind it. 0: everything."),
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=100_000, description="At most so many pairs.")] = 1000,
    accept_encoding: Annotated[str, Header(include_in_schema=False)] = "",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One pair a line. Read on from `X-Next-Cursor`, or follow `Link: …; rel="next"` until there
    is none. Every line has its own `cursor` too: after a broken download go on from the last one.

    Pairs stand in the order in which the feed first showed them; a cursor never skips one. A pair
    that its annotator took back is no longer sent; one that comes back stands at the end again,
    under its old `pair_id`.
    """
    found = access.project_named(db, actor, project)
    feed.give_places(db)
    window = feed.window(db, project_id=found.id, after=after, limit=limit)
    base = _base(request)
    headers = {
        "ETag": f'W/"{_digest(base, window.digest)}"',
        "X-Next-Cursor": str(window.until),
        "Vary": "Accept-Encoding, Authorization",
        "Cache-Control": "private, no-cache",
    }
    if window.newest_at is not None:
        headers["Last-Modified"] = format_datetime(window.newest_at, usegmt=True)
    if window.more:
        query = urlencode({"project": project, "after": window.until, "limit": limit})
        headers["Link"] = f'<{base}/api/v1/pairs?{query}>; rel="next"'
    if _matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    chunks = chunked(
        pair_lines(
            request.app.state.sessions,
            project_id=found.id,
            window=window,
            image_url=lambda sha256: f"{base}/api/v1/images/{sha256}",
        )
    )
    if takes_gzip(accept_encoding):
        headers["Content-Encoding"] = "gzip"
        chunks = gzipped(chunks)
    return StreamingResponse(chunks, headers=headers, media_type=NDJSON)


@router.get(
    "/images/{sha256}",
    summary="An image, byte for byte as it was imported",
    response_class=FileResponse,
    responses=IMAGE_RESPONSES,
)
def image(
    request: Request,
    db: SessionDep,
    actor: Reader,
    sha256: Annotated[str, Path(description="Its SHA-256, as pairs name it.")],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The bytes that the model saw. They never change: keep them."""
    found = access.image_of(db, actor, sha256)
    kind = found.format.lower()
    headers = {
        "ETag": f'"{found.sha256}"',
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    if _matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    path = request.app.state.image_store.original(found.sha256, kind)
    return FileResponse(path, headers=headers, media_type=f"image/{kind}")


def _base(request: Request) -> str:
    settings: Any = request.app.state.settings
    return (settings.public_url or str(request.base_url)).rstrip("/")


def _digest(*parts: str) -> str:
    # The digest of a window covers its places; its lines also hold the address of this site.
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _matches(if_none_match: str | None, etag: str) -> bool:
    """Weak comparison (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in known or etag.removeprefix("W/") in known
