"""Pages on which admins and trainers look at pairs and take them home."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.orm import Session

from app import access, audit
from app.deps import AdminUser, CurrentUser, Id, SessionDep
from app.domain.corrections import Kind
from app.domain.prompts import Template
from app.models import Project, Role
from app.pairs import pages
from app.pairs.archive import zipped
from app.pairs.export import export_trl
from app.pairs.queries import pair_count
from app.refusals import Forbidden
from app.security import Actor
from app.web import render

router = APIRouter()


@router.get("/projects/{project_id}/pairs")
def pair_list(
    request: Request,
    db: SessionDep,
    actor: CurrentUser,
    project_id: Id,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    kind: Annotated[Kind | None, Query()] = None,
) -> Response:
    """The newest pairs of a project, of every kind or of one."""
    project = _project(db, actor, project_id)
    context = {
        "project": project,
        "page": pages.newest_pairs(db, project_id=project.id, before=before, kind=kind),
        "count": pair_count(db, project_id=project.id),
        "first": before is None,
        "kind": kind,
        "kinds": list(Kind),
        "templates": list(Template),
        "base": (request.app.state.settings.public_url or str(request.base_url)).rstrip("/"),
    }
    return render(request, "pairs/list.html", context)


@router.get("/projects/{project_id}/pairs/{pair_id}")
def pair(
    request: Request, db: SessionDep, actor: CurrentUser, project_id: Id, pair_id: Id
) -> Response:
    """One pair, whole."""
    project = _project(db, actor, project_id)
    view = pages.one_pair(db, project_id=project.id, pair_id=pair_id)
    return render(request, "pairs/pair.html", {"project": project, "pair": view})


@router.get("/projects/{project_id}/export")
def export(
    request: Request,
    db: SessionDep,
    actor: AdminUser,
    project_id: Id,
    template: Annotated[Template, Query()] = Template.QWEN2_5_VL,
) -> Response:
    """The directory for TRL, as a zip file."""
    project = access.project_of(db, actor, project_id)
    # Removed when the stream ends, or with this object when it never begins.
    place = tempfile.TemporaryDirectory(prefix="iterdpo-export-")
    try:
        folder = Path(place.name) / "trl"
        report = export_trl(
            db,
            project=project,
            out=folder,
            store=request.app.state.image_store,
            template=template,
        )
    except BaseException:
        place.cleanup()
        raise
    audit.record(db, actor.id, "exported", f"project:{project.id}", pairs=report.pairs)
    headers = {"Content-Disposition": f'attachment; filename="{project.name}-trl.zip"'}
    return StreamingResponse(_sent(place, folder), headers=headers, media_type="application/zip")


def _sent(place: tempfile.TemporaryDirectory[str], folder: Path) -> Iterator[bytes]:
    with place:
        yield from zipped(folder)


def _project(db: Session, actor: Actor, project_id: int) -> Project:
    project = access.project_of(db, actor, project_id)
    if actor.role is Role.ANNOTATOR:
        raise Forbidden("Pairs are for admins and trainers: they show other annotators' work.")
    return project
