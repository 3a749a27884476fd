"""Pages on which admins and trainers look at pairs and take them home."""

import itertools
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.orm import Session

from app import access, audit
from app.deps import AdminUser, CurrentUser, Id, SessionDep
from app.domain.filters import PairFilter
from app.domain.prompts import Template
from app.domain.quality import Gate
from app.models import Project, Role
from app.pairs import pages
from app.pairs.archive import Handover, ZipSink, zipped
from app.pairs.export import Order, exporting
from app.pairs.formats import Rendering, format_named
from app.pairs.queries import pair_count
from app.pairs.selection import select_pairs
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
) -> Response:
    """The newest pairs of a project."""
    project = _project(db, actor, project_id)
    context = {
        "project": project,
        "page": pages.newest_pairs(db, project_id=project.id, before=before),
        "count": pair_count(db, project_id=project.id),
        "first": before is None,
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
    """The pairs for a trainer, as a zip file."""
    project = access.project_of(db, actor, project_id)
    wanted = PairFilter(project=(project.name,))
    form = format_named("trl")
    order = Order(wanted, form, Rendering(template, folder=form.name), Gate(template))
    selection = select_pairs(db, wanted, [project.id])
    sink = ZipSink(form.name)
    state = request.app.state
    sessions = Handover(db, state.sessions)
    steps = exporting(sessions, selection, order, sink=sink, store=state.image_store)
    chunks = zipped(sink, steps)
    # The first bytes are made here: an export of nothing is an answer that says so.
    first = next(chunks)
    sessions.leave()
    audit.record(db, actor.id, "exported", f"project:{project.id}", pairs=len(selection))
    headers = {"Content-Disposition": f'attachment; filename="{project.name}-trl.zip"'}
    return StreamingResponse(
        itertools.chain([first], chunks), headers=headers, media_type="application/zip"
    )


def _project(db: Session, actor: Actor, project_id: int) -> Project:
    project = access.project_of(db, actor, project_id)
    if actor.role is Role.ANNOTATOR:
        raise Forbidden("Pairs are for admins and trainers: they show other annotators' work.")
    return project
