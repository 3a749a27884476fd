"""The pages on which admins import samples into a project and see what became of it."""

from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.access import project_of
from app.models import ImportState, Project
from app.refusals import Invalid
from app.samples import kept_uploads
from app.samples.importing import INSTRUCTION, ImportOptions, ImportRefused
from app.samples.importing.mapping import MAPPED
from app.samples.importing.preview import Preview, preview
from app.samples.imports import queries
from app.samples.imports.queries import ImportView
from app.samples.imports.service import request_import
from app.samples.imports.upload_store import UploadStore
from app.samples.uploads import Upload, Uploaded
from app.web.dependencies import AdminUser, Id, SessionDep
from app.web.pages import render

router = APIRouter(prefix="/projects/{project_id}/import")

# The app's own limit is for forms; uploads are measured against the setting while they arrive.
_UNLIMITED = 2**50


@router.get("")
def import_page(request: Request, project_id: Id, db: SessionDep, actor: AdminUser) -> Response:
    """The form, and what was imported before."""
    return _page(request, db, project_of(db, actor, project_id))


@router.post("", max_body_size=_UNLIMITED)
def import_samples(
    request: Request, project_id: Id, upload: Uploaded, db: SessionDep, actor: AdminUser
) -> Response:
    """On to the page of the import that has begun, a look at the file, or the form again with what
    is wrong in it."""
    project = project_of(db, actor, project_id)
    uploads = request.app.state.settings.uploads
    root = uploads / "kept"
    owner = f"{actor.id}:{project.id}"
    try:
        if upload.kept and upload.file is None:
            upload = kept_uploads.found(root, upload, owner=owner)
        if upload.look:
            return _look(request, db, project, upload, owner=owner)
        made = request_import(
            db, uploads=UploadStore(uploads), project=project, upload=upload, actor_id=actor.id
        )
        kept_uploads.forget(root, upload.kept)
    except ImportRefused as refused:
        return _page(request, db, project, upload=upload, refused=refused)
    except Invalid as fault:
        return _page(request, db, project, upload=upload, fault=fault)
    return RedirectResponse(f"/projects/{project.id}/import/{made.id}", 303)


@router.get("/{import_id}")
def imported(
    request: Request, project_id: Id, import_id: Id, db: SessionDep, actor: AdminUser
) -> Response:
    """How far one import is, or what came of it, above the form of the next."""
    project = project_of(db, actor, project_id)
    current = queries.import_view(db, project_id=project.id, import_id=import_id)
    return _page(request, db, project, current=current)


@router.get("/{import_id}/state")
def import_state(
    request: Request, project_id: Id, import_id: Id, db: SessionDep, actor: AdminUser
) -> Response:
    """The part of that page which asks for itself again while the import goes on."""
    project = project_of(db, actor, project_id)
    current = queries.import_view(db, project_id=project.id, import_id=import_id)
    return render(request, "samples/_import.html", {"project": project, "current": current})


def _look(
    request: Request, db: Session, project: Project, upload: Upload, *, owner: str
) -> Response:
    if upload.file is None:
        raise Invalid("Choose a file.", "file")
    options = ImportOptions(
        policy=upload.policy or "imported",
        instruction=upload.instruction or INSTRUCTION,
        output=upload.output,
        columns=upload.columns,
        name=upload.name,
        alone=True,
    )
    look = preview(upload.file, options, rule=project.rule, rule_words=project.rule_words)
    root = request.app.state.settings.uploads / "kept"
    name = upload.kept or kept_uploads.keep(root, upload, owner=owner)
    return _page(request, db, project, upload=replace(upload, kept=name), look=look)


def _page(
    request: Request,
    db: Session,
    project: Project,
    *,
    current: ImportView | None = None,
    upload: Upload | None = None,
    refused: ImportRefused | None = None,
    fault: Invalid | None = None,
    look: Preview | None = None,
) -> Response:
    imports = queries.imports_of(db, project_id=project.id)
    policy, instruction = _typed(upload, current)
    return render(
        request,
        "samples/import.html",
        {
            "project": project,
            "current": current,
            "imports": [each for each in imports if current is None or each.id != current.id],
            "name": upload.name if upload else "",
            "instruction": instruction,
            "policy": policy,
            "default_instruction": INSTRUCTION,
            "max_upload_mb": request.app.state.settings.max_upload_mb,
            "refused": refused,
            "fault": fault,
            "look": look,
            "kept": upload.kept if upload else "",
            "fields": MAPPED,
        },
        status_code=422 if refused or fault else 200,
    )


def _typed(upload: Upload | None, current: ImportView | None) -> tuple[str, str]:
    """What the form's two texts were, to be sent again with another file: policy, instruction."""
    if upload is not None:
        return upload.policy, upload.instruction
    if current is None or current.state is ImportState.DONE:
        return "", ""
    return (
        "" if current.policy == "imported" else current.policy,
        "" if current.instruction == INSTRUCTION else current.instruction,
    )
