"""The REST API of snapshots: list, detail, what changed between two, the zip file."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from app import access
from app.domain.rowindex import Difference
from app.exports.snapshot_store import SnapshotStore
from app.models import SnapshotState
from app.refusals import Conflict
from app.security import Actor
from app.snapshots import queries
from app.snapshots.downloads import archive_response
from app.snapshots.queries import SnapshotView
from app.web.dependencies import Id, SessionDep, token_user
from app.web.problem_documents import CONTENT, NOT_FOUND, refusals

router = APIRouter(prefix="/api/v1", tags=["snapshots"])

Reader = Annotated[Actor, Depends(token_user("pairs:read"))]

_PROBLEM = CONTENT
_REFUSALS = refusals(NOT_FOUND)
_NOT_READY: dict[int | str, dict[str, Any]] = {
    409: {"description": "It is not ready, or has failed; `detail` says so.", "content": _PROBLEM}
}
_ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The whole file.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            "ETag": {
                "description": "The SHA-256 of the file. Send it as If-Range with Range.",
                "schema": {"type": "string"},
            },
            "X-Content-Hash": {
                "description": "The content hash: of rows, images and splits.",
                "schema": {"type": "string"},
            },
        },
    },
    206: {"description": "The requested range."},
    304: {"description": "Not modified."},
    416: {"description": "The file does not contain this range.", "content": _PROBLEM},
    **_NOT_READY,
    **_REFUSALS,
}


class SnapshotOut(BaseModel):
    """A snapshot. The fields after `finished_at` are null until it is ready."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    project: str = Field(examples=["lectures"])
    name: str = Field(examples=["round-1"])
    format: str = Field(examples=["trl"])
    template: str = Field(examples=["qwen2.5-vl"])
    filter: dict[str, Any] = Field(examples=[{"kind": ["rewrite"], "on_policy": True}])
    gate: dict[str, Any] = Field(examples=[{"allowed": [], "max_tokens": 128000, "min_share": 0.1}])
    seed: int
    split: dict[str, Any] = Field(
        examples=[{"validation": 0.1, "test": 0.0, "separate_images": True}]
    )
    state: SnapshotState
    progress: float = Field(description="0 to 1.", examples=[1.0])
    error: str | None = Field(description="Reason of a failed build, else null.")
    created_by: str | None = Field(
        description="Account name; null if created on the command line.", examples=["Ada"]
    )
    created_at: datetime
    finished_at: datetime | None
    counts: dict[str, Any] | None = Field(
        examples=[
            {
                "pairs": 640,
                "rows": 640,
                "samples": 87,
                "images": 2100,
                "splits": {"train": {"pairs": 571, "rows": 571, "samples": 78, "images": 1890}},
                "left_out": {"whitespace": 4},
            }
        ]
    )
    content_hash: str | None = Field(
        description="SHA-256 of SHA256SUMS. The same filter on the same data gives the same hash."
    )
    archive_sha256: str | None = Field(description="SHA-256 of the zip file, also its ETag.")
    size: int | None = Field(description="Size of the zip file in bytes.")


class SnapshotsOut(BaseModel):
    """The snapshots of a project, the newest first."""

    snapshots: list[SnapshotOut]


class ChangesOut(BaseModel):
    """How a snapshot differs from an earlier one."""

    same: int
    added: int
    removed: int
    changed: int = Field(description="Pairs with the same id and different content.")
    moved: int = Field(description="Pairs with the same content in a different split.")
    pairs: dict[str, list[str]] = Field(
        description="First ids of each kind of change.", examples=[{"added": ["41", "57"]}]
    )


@router.get("/snapshots", summary="List the snapshots of a project", responses=_REFUSALS)
def snapshots(
    db: SessionDep,
    actor: Reader,
    project: Annotated[str, Query(description="The project's name.", examples=["lectures"])],
) -> SnapshotsOut:
    """List the snapshots, newest first, including unfinished ones."""
    found = access.project_named(db, actor, project)
    views = queries.snapshots_of(db, project_id=found.id)
    return SnapshotsOut(snapshots=[_out(view) for view in views])


@router.get("/snapshots/{snapshot_id}", summary="Get a snapshot", responses=_REFUSALS)
def snapshot(db: SessionDep, actor: Reader, snapshot_id: Id) -> SnapshotOut:
    """Get state, counts and hashes. Poll while `state` is `queued` or `building`."""
    return _out(_view(db, actor, snapshot_id))


@router.get(
    "/snapshots/{snapshot_id}/changes",
    summary="Compare with another snapshot",
    responses={**_NOT_READY, **_REFUSALS},
)
def changes(
    request: Request,
    db: SessionDep,
    actor: Reader,
    snapshot_id: Id,
    since: Annotated[
        int, Query(ge=1, le=2**63 - 1, description="Id of the snapshot to compare with.")
    ],
    limit: Annotated[
        int, Query(ge=0, le=100_000, description="Maximum number of ids for each kind of change.")
    ] = 1000,
) -> ChangesOut:
    """Compare two snapshots of a project pair by pair. Their formats may differ."""
    after, before = _view(db, actor, snapshot_id), _view(db, actor, since)
    if before.project_id != after.project_id:
        raise Conflict("You can compare only snapshots of the same project.")
    found = queries.comparison(_store(request), before, after, shown=limit)
    return ChangesOut(
        same=found.same,
        added=found.counts[Difference.ADDED],
        removed=found.counts[Difference.REMOVED],
        changed=found.counts[Difference.CHANGED],
        moved=found.counts[Difference.MOVED],
        pairs={kind.value: ids for kind, ids in found.ids.items() if ids},
    )


@router.head("/snapshots/{snapshot_id}/archive", include_in_schema=False)
@router.get(
    "/snapshots/{snapshot_id}/archive",
    summary="Download the zip file of a snapshot",
    response_class=FileResponse,
    responses=_ARCHIVE,
)
def archive(
    request: Request,
    db: SessionDep,
    actor: Reader,
    snapshot_id: Id,
    _if_none_match: Annotated[
        str | None,
        Header(
            description="ETag of the file that you have. The response is 304 if it is the same."
        ),
    ] = None,
) -> Response:
    """Download the file. It never changes. To resume a broken download, send `Range: bytes=N-` and
    `If-Range` with the ETag."""
    view = _view(db, actor, snapshot_id)
    return archive_response(request, db, store=_store(request), snapshot=view, actor_id=actor.id)


def _view(db: Session, actor: Actor, snapshot_id: int) -> SnapshotView:
    return queries.snapshot_view(db, snapshot_id=snapshot_id, actor=actor)


def _out(view: SnapshotView) -> SnapshotOut:
    return SnapshotOut.model_validate(view)


def _store(request: Request) -> SnapshotStore:
    return SnapshotStore(request.app.state.settings.snapshots)
