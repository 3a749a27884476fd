"""The page on which admins import samples into a project."""

from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.access import project_of
from app.models import Project
from app.refusals import Invalid
from app.samples import kept_uploads
from app.samples.importing import (
    INSTRUCTION,
    ImportOptions,
    ImportRefused,
    ImportReport,
    import_path,
)
from app.samples.importing.mapping import MAPPED
from app.samples.importing.preview import Preview, preview
from app.samples.uploads import Upload, Uploaded
from app.web.dependencies import AdminUser, Id, SessionDep
from app.web.pages import render

router = APIRouter(prefix="/projects/{project_id}/import")

# The app's own limit is for forms; uploads are measured against the setting while they arrive.
_UNLIMITED = 2**50


@router.get("")
def import_page(request: Request, project_id: Id, db: SessionDep, actor: AdminUser) -> Response:
    """The form."""
    return _page(request, project_of(db, actor, project_id))


@router.post("", max_body_size=_UNLIMITED)
def import_samples(
    request: Request, project_id: Id, db: SessionDep, actor: AdminUser, upload: Uploaded
) -> Response:
    """The page with what was imported, or with every error and nothing imported."""
    project = project_of(db, actor, project_id)
    root = request.app.state.settings.data / "uploads" / "kept"
    owner = f"{actor.id}:{project.id}"
    try:
        if upload.kept and upload.file is None:
            upload = kept_uploads.found(root, upload, owner=owner)
        if upload.file is None:
            raise Invalid("Choose a file.", "file")
        if upload.look:
            look = preview(
                upload.file, _options(upload), rule=project.rule, rule_words=project.rule_words
            )
            name = upload.kept or kept_uploads.keep(root, upload, owner=owner)
            return _page(request, project, upload=replace(upload, kept=name), look=look)
        report = import_path(
            db,
            project=project,
            path=upload.file,
            store=request.app.state.image_store,
            actor_id=actor.id,
            options=_options(upload),
        )
        kept_uploads.forget(root, upload.kept)
    except ImportRefused as fault:
        return _page(request, project, upload=upload, refused=fault)
    except Invalid as fault:
        return _page(request, project, upload=upload, fault=fault)
    return _page(request, project, upload=upload, report=report)


def _options(upload: Upload) -> ImportOptions:
    return ImportOptions(
        policy=upload.policy or "imported",
        instruction=upload.instruction or INSTRUCTION,
        output=upload.output,
        columns=upload.columns,
        name=upload.name,
        alone=True,
    )


def _page(
    request: Request,
    project: Project,
    *,
    upload: Upload | None = None,
    report: ImportReport | None = None,
    refused: ImportRefused | None = None,
    fault: Invalid | None = None,
    look: Preview | None = None,
) -> Response:
    return render(
        request,
        "samples/import.html",
        {
            "project": project,
            "name": upload.name if upload else "",
            "instruction": upload.instruction if upload else "",
            "policy": upload.policy if upload else "",
            "default_instruction": INSTRUCTION,
            "max_upload_mb": request.app.state.settings.max_upload_mb,
            "report": report,
            "refused": refused,
            "fault": fault,
            "look": look,
            "kept": upload.kept if upload else "",
            "fields": MAPPED,
        },
        status_code=422 if refused or fault else 200,
    )
