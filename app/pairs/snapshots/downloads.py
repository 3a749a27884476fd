"""A snapshot's zip file over HTTP: whole, or from where an earlier download broke off."""

from fastapi.responses import FileResponse

from app.models import SnapshotState
from app.pairs.snapshots.queries import SnapshotView
from app.pairs.snapshots.store import SnapshotStore
from app.refusals import Conflict


def archive_response(store: SnapshotStore, snapshot: SnapshotView) -> FileResponse:
    """The file with ranges; its ETag is the SHA-256 of its bytes, so If-Range never joins the
    halves of two different files. Raises Conflict before it is ready, NotFound without files."""
    if snapshot.state is not SnapshotState.READY:
        raise Conflict(f"The snapshot {snapshot.name} is not ready: it is {snapshot.state.value}.")
    return FileResponse(
        store.archive(snapshot.id, snapshot.attempt),
        media_type="application/zip",
        filename=f"{snapshot.project}-{snapshot.name}.zip",
        headers={
            "ETag": f'"{snapshot.archive_sha256}"',
            "Cache-Control": "private, no-cache",
            "X-Content-Hash": snapshot.content_hash or "",
        },
    )
