"""A snapshot's zip file over HTTP: whole, or from where an earlier download broke off."""

import re
from datetime import timedelta

from fastapi import Request
from fastapi.responses import FileResponse, Response
from sqlalchemy import exists, select
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException

from app import audit
from app.domain.messages import Message
from app.exports.snapshot_store import SnapshotStore
from app.models import AuditEvent, SnapshotState, now
from app.refusals import Conflict
from app.snapshots.queries import SnapshotView
from app.web.etags import matches
from app.web.rights import claim

_DOWNLOADED = "snapshot_downloaded"
# A download that broke off is gone on with for so long; later it counts as another one.
_GOES_ON = timedelta(days=1)
# Such as "bytes=0-99,200-" or "bytes=-500"; more digits are no place in a file.
_RANGE = re.compile(
    r"bytes=(\d{1,18}-\d{0,18}|-\d{1,18})(, ?(\d{1,18}-\d{0,18}|-\d{1,18}))*", re.ASCII
)


def archive_response(
    request: Request, db: Session, *, store: SnapshotStore, snapshot: SnapshotView, actor_id: int
) -> Response:
    """The file with ranges; its ETag is the SHA-256 of its bytes, so If-Range never joins the
    halves of two different files. Raises Conflict before it is ready, NotFound without files.

    A download is one event of the audit log, in however many ranges it comes. A Range that is none
    is passed over, as RFC 9110 (14.2) has it; Starlette would refuse it. Raises HTTPException 416
    for one that begins beyond the end.
    """
    if snapshot.state is not SnapshotState.READY:
        raise Conflict(
            Message(
                "The snapshot %(name)s is not ready: it is %(state)s.",
                name=snapshot.name,
                state=snapshot.state.value,
            )
        )
    claim(request, project_ids=[snapshot.project_id])
    path = store.archive(snapshot.id, snapshot.attempt)
    headers = {
        "ETag": f'"{snapshot.archive_sha256}"',
        "Cache-Control": "private, no-cache",
        "X-Content-Hash": snapshot.content_hash or "",
    }
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if not _is_range(request.headers.get("range", "")):
        request.scope["headers"] = [
            header for header in request.scope["headers"] if header[0] != b"range"
        ]
    elif request.headers.get("if-range", headers["ETag"]) == headers["ETag"]:
        _refuse_beyond(request.headers["range"], path.stat().st_size)
    subject = f"snapshot:{snapshot.id}"
    if request.method == "GET" and not (
        _goes_on(request, headers["ETag"]) and _is_recorded(db, actor_id, subject)
    ):
        audit.record(db, actor_id, _DOWNLOADED, subject)
    return FileResponse(
        path,
        media_type="application/zip",
        filename=f"{snapshot.project}-{snapshot.name}.zip",
        headers=headers,
    )


def _is_range(text: str) -> bool:
    """Whether it is a Range of bytes, none of whose stretches ends before it begins."""
    return bool(_RANGE.fullmatch(text)) and all(
        int(first) <= int(last) for first, last in re.findall(r"(\d+)-(\d+)", text)
    )


def _refuse_beyond(text: str, size: int) -> None:
    firsts = [
        int(first) if first else max(size - int(last), 0)
        for first, last in re.findall(r"(\d*)-(\d*)", text)
    ]
    if max(firsts) >= size:
        raise HTTPException(
            416,
            f"The file has {size} bytes; the range begins beyond them.",
            headers={"Content-Range": f"bytes */{size}"},
        )


def _goes_on(request: Request, etag: str) -> bool:
    """Whether one stretch is asked for that does not begin with the first byte."""
    wanted = re.fullmatch(r"bytes=0*[1-9]\d*-\d*", request.headers.get("range", "").strip())
    return wanted is not None and request.headers.get("if-range", etag) == etag


def _is_recorded(db: Session, actor_id: int, subject: str) -> bool:
    """Whether the log has what is gone on with: a first byte is easily guessed."""
    return bool(
        db.scalar(
            select(
                exists().where(
                    AuditEvent.at > now() - _GOES_ON,
                    AuditEvent.actor_id == actor_id,
                    AuditEvent.action == _DOWNLOADED,
                    AuditEvent.object == subject,
                )
            )
        )
    )
