"""The REST API's imports: a file goes in, a worker reads it, and its row tells how far that is."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app import access
from app.models import ImportState, Project
from app.refusals import Forbidden, Invalid
from app.samples.importing.mapping import parse_map
from app.samples.imports import attempts, queries
from app.samples.imports.queries import ImportView
from app.samples.imports.service import request_import
from app.samples.imports.upload_store import UploadStore
from app.samples.uploads import Sent
from app.security import Actor
from app.web.dependencies import Id, SessionDep, briefly, credentials_of, token_user
from app.web.problem_documents import NOT_FOUND, refusals

router = APIRouter(prefix="/api/v1", tags=["imports"])

# Uploads are measured against the setting while they arrive.
_UNLIMITED = 2**50
_SCOPE = "imports:write"
LONGEST_WAIT_S = 60
# A notification may be lost: so often who waits looks by itself.
_LOOK_AGAIN_S = 2.0

Importer = Annotated[Actor, Depends(token_user(_SCOPE))]
Wait = Annotated[
    int,
    Query(
        alias="wait",
        ge=0,
        le=LONGEST_WAIT_S,
        description="Seconds to wait for the import to end before the response is sent.",
    ),
]
ProjectName = Annotated[str, Path(description="The project's name.")]


class FaultOut(BaseModel):
    """Something that is wrong in a file."""

    field: str = Field(
        description="File, line or row, and field.", examples=["s.jsonl, line 2, length"]
    )
    detail: str = Field(examples=["A whole number of words, above 0, is needed."])
    times: int = Field(description="How many errors of this kind there are; this is the first.")


class ReportOut(BaseModel):
    """What an import did."""

    added: int = Field(description="New samples.")
    unchanged: int = Field(description="Samples that were there already, with the same content.")
    images: int = Field(description="Different images that the samples show.")
    segments: int = Field(description="Segments of the new samples.")
    recut: int = Field(description="Samples in which the project's rule found no place to cut.")
    notices: list[str] = Field(description="What you should know, a sentence each.")


class ImportOut(BaseModel):
    """An import. `report` is null until it is done, `error` unless it has failed."""

    id: int
    project: str = Field(examples=["lectures"])
    name: str = Field(description="What is imported.", examples=["samples.jsonl"])
    state: ImportState
    samples: int = Field(description="Samples taken in so far.")
    images: int = Field(description="Images taken in so far.")
    progress: float = Field(description="How much of the file is read, 0 to 1.")
    seconds_left: float | None = Field(
        description="As the time so far lets expect; null before anything is read and at the end."
    )
    created_by: str | None = Field(examples=["Ada"])
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    report: ReportOut | None
    error: str | None = Field(description="Why it failed, and that nothing was imported.")
    errors: list[FaultOut] = Field(
        description="Each error in the file, or, of more than 20, the most frequent kinds."
    )

    @classmethod
    def of(cls, view: ImportView) -> Self:
        """The import, as the API shows it."""
        return cls(
            id=view.id,
            project=view.project,
            name=view.source,
            state=view.state,
            samples=view.samples,
            images=view.images,
            progress=view.fraction,
            seconds_left=view.seconds_left,
            created_by=view.created_by,
            created_at=view.created_at,
            started_at=view.started_at,
            finished_at=view.finished_at,
            report=None if view.report is None else ReportOut.model_validate(view.report),
            error=view.error,
            errors=[
                FaultOut(field=each["place"], detail=each["message"], times=each["times"])
                for each in view.errors
            ],
        )


class ImportsOut(BaseModel):
    """The last imports into a project, the newest first."""

    imports: list[ImportOut]


async def ended(
    request: Request,
    project_name: ProjectName,
    import_id: Id,
    wait: Wait = 0,
) -> None:
    """Returns when an import has ended or `wait` seconds have passed; holds no slot meanwhile."""
    if not wait:
        return
    credentials = await credentials_of(request)

    def looked(db: Session) -> bool:
        actor = token_user(_SCOPE)(request, db, credentials)
        project = _project(db, actor, project_name)
        return queries.import_view(db, project_id=project.id, import_id=import_id).live

    until = asyncio.get_running_loop().time() + wait
    hub = request.app.state.hub
    async with hub.watch(attempts.key(import_id)) as watch:
        while hub.open:
            async with briefly(request) as db:
                live = await run_in_threadpool(looked, db)
            left = until - asyncio.get_running_loop().time()
            if not live or left <= 0:
                return
            await watch.wait(min(left, _LOOK_AGAIN_S))


@router.post(
    "/projects/{project_name}/imports",
    summary="Import a file of samples into a project",
    status_code=202,
    max_body_size=_UNLIMITED,
    responses=refusals(
        {
            404: "There is no such project, or not for you.",
            409: "The project is archived.",
        }
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {"type": "string", "format": "binary"},
                            "output": {"type": "string", "format": "binary"},
                        },
                    }
                },
            },
        }
    },
)
def add_import(
    request: Request,
    response: Response,
    upload: Sent,
    db: SessionDep,
    actor: Importer,
    project_name: ProjectName,
    name: Annotated[
        str, Query(max_length=150, description="The name of the file, where it is the body.")
    ] = "",
    policy: Annotated[
        str, Query(max_length=200, description="The model that wrote the outputs.")
    ] = "",
    instruction: Annotated[
        str, Query(description="What the model was asked, for decks and folders of slides.")
    ] = "",
    mapped: Annotated[
        Sequence[str],
        Query(alias="map", description="FIELD=COLUMN, where the columns have other names."),
    ] = (),
) -> ImportOut:
    """The file is the body, or `file` of a form; what kind it is, its content says. A worker reads
    it: the answer is the import, and `Location` its address, which tells how far it is. All of its
    samples are added or none. Sending the same file again changes nothing.

    Only an admin's token may do this. Larger files than the server takes are imported there:
    `iterdpo import PROJECT PATH`.
    """
    project = _project(db, actor, project_name)
    if upload.file is None:
        raise Invalid("Send a file: as the body, or as file of a form.", "file")
    made = request_import(
        db,
        uploads=UploadStore(request.app.state.settings.uploads),
        project=project,
        upload=replace(
            upload,
            policy=policy or upload.policy,
            instruction=instruction or upload.instruction,
            columns=parse_map(mapped),
            name=upload.name or name,
        ),
        actor_id=actor.id,
    )
    response.headers["Location"] = f"/api/v1/projects/{project.name}/imports/{made.id}"
    return ImportOut.of(queries.import_view(db, project_id=project.id, import_id=made.id))


@router.get(
    "/projects/{project_name}/imports",
    summary="The last imports into a project",
    responses=refusals(NOT_FOUND),
)
def imports(db: SessionDep, actor: Importer, project_name: ProjectName) -> ImportsOut:
    """The newest first, those that wait or run included; 50 at most."""
    project = _project(db, actor, project_name)
    views = queries.imports_of(db, project_id=project.id)
    return ImportsOut(imports=[ImportOut.of(view) for view in views])


@router.get(
    "/projects/{project_name}/imports/{import_id}",
    summary="One import",
    dependencies=[Depends(ended)],
    responses=refusals(NOT_FOUND),
)
def one_import(
    db: SessionDep,
    actor: Importer,
    project_name: ProjectName,
    import_id: Id,
    _wait: Wait = 0,
) -> ImportOut:
    """How far it is; ask again while `state` is `waiting` or `running`, or `wait` for its end."""
    project = _project(db, actor, project_name)
    return ImportOut.of(queries.import_view(db, project_id=project.id, import_id=import_id))


def _project(db: Session, actor: Actor, name: str) -> Project:
    if not actor.is_admin:
        raise Forbidden("Only an admin can do this.")
    return access.project_named(db, actor, name)
