"""The REST API's imports: a file goes in, samples are added, all of them or none."""

from collections.abc import Sequence
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from app import access
from app.refusals import Invalid
from app.samples.importing import INSTRUCTION, ImportOptions, ImportReport, import_path
from app.samples.importing.mapping import parse_map
from app.samples.uploads import Sent
from app.security import Actor
from app.web.dependencies import SessionDep, token_user
from app.web.problem_documents import refusals

router = APIRouter(prefix="/api/v1", tags=["imports"])

# Uploads are measured against the setting while they arrive.
_UNLIMITED = 2**50


class ImportOut(BaseModel):
    """What an import did."""

    project: str
    name: str = Field(description="What was imported.")
    added: int = Field(description="New samples.")
    unchanged: int = Field(description="Samples that were there already, with the same content.")
    images: int = Field(description="Different images that the samples show.")
    segments: int = Field(description="Segments of the new samples.")
    recut: int = Field(description="Samples in which the project's rule found no place to cut.")
    notices: list[str] = Field(description="What else you should know, a sentence each.")

    @classmethod
    def of(cls, report: ImportReport, *, project: str, name: str) -> Self:
        """The report, as the API shows it."""
        return cls(
            project=project,
            name=name,
            added=report.added,
            unchanged=report.unchanged,
            images=report.images,
            segments=report.segments,
            recut=report.recut,
            notices=list(report.notices),
        )


@router.post(
    "/projects/{project_name}/imports",
    summary="Import a file of samples into a project",
    status_code=201,
    max_body_size=_UNLIMITED,
    responses=refusals(
        {
            404: "There is no such project, or not for you.",
            409: "Another import into the project is running, or the project is archived.",
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
    db: SessionDep,
    actor: Annotated[Actor, Depends(token_user("imports:write"))],
    upload: Sent,
    project_name: Annotated[str, Path(description="The project's name.")],
    name: Annotated[
        str, Query(max_length=150, description="The name of the file, where it is the body.")
    ] = "",
    policy: Annotated[
        str, Query(max_length=200, description="The model that wrote the outputs.")
    ] = "imported",
    instruction: Annotated[
        str, Query(description="What the model was asked, for decks and folders of slides.")
    ] = INSTRUCTION,
    mapped: Annotated[
        Sequence[str],
        Query(alias="map", description="FIELD=COLUMN, where the columns have other names."),
    ] = (),
) -> ImportOut:
    """The file is the body, or `file` of a form; what kind it is, its content says. All of its
    samples are added or none: `errors` of a refusal names each error with its place, or, of more
    than 20, the most frequent kinds. Sending the same file again changes nothing.

    Only an admin's token may do this. Larger files than the server takes are imported there:
    `iterdpo import PROJECT PATH`.
    """
    project = access.project_named(db, actor, project_name)
    if upload.file is None:
        raise Invalid("Send a file: as the body, or as file of a form.", "file")
    report = import_path(
        db,
        project=project,
        path=upload.file,
        store=request.app.state.image_store,
        actor_id=actor.id,
        options=ImportOptions(
            policy=policy,
            instruction=instruction,
            output=upload.output,
            columns=parse_map(mapped),
            name=upload.name or name,
            alone=True,
        ),
    )
    return ImportOut.of(report, project=project.name, name=upload.name)
