"""Pages of snapshots: what there is, what one would hold, one of them, two side by side."""

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from app import access
from app.domain.quality import CHECKS
from app.domain.rowindex import Difference
from app.exports.filter_choices import choices
from app.exports.formats import format_named
from app.exports.items import PAIRS
from app.exports.parameters import shown
from app.exports.selection import count_pairs
from app.exports.snapshot_store import SnapshotStore
from app.models import Project, Role, Snapshot
from app.refusals import Conflict, Forbidden, Invalid
from app.security import Actor
from app.snapshots import queries, service
from app.snapshots.downloads import archive_response
from app.snapshots.forms import SnapshotForm, offered, snapshot_form
from app.snapshots.queries import SnapshotView
from app.web.dependencies import AdminUser, CurrentUser, Id, SessionDep
from app.web.hosts import base_url
from app.web.pages import render

router = APIRouter()

# A comparison names so many pairs of each kind.
SHOWN = 100


async def sent_form(request: Request) -> FormData:
    """A dependency: the form of a request, read before its route runs in a thread."""
    return await request.form()


@router.get("/projects/{project_id}/snapshots")
def snapshot_list(request: Request, db: SessionDep, actor: CurrentUser, project_id: Id) -> Response:
    """The snapshots of a project and, for admins, the form of a new one."""
    project = _project(db, actor, project_id)
    return _page(request, db, project, snapshot_form(request.query_params))


@router.post("/projects/{project_id}/snapshots")
def add_snapshot(
    request: Request,
    db: SessionDep,
    actor: AdminUser,
    project_id: Id,
    sent: FormData = Depends(sent_form),
) -> Response:
    """On to the new snapshot, or the form again with what is wrong."""
    project = access.project_of(db, actor, project_id)
    form = snapshot_form(sent)
    try:
        made = service.create(
            db,
            store=_store(request),
            project=project,
            name=form.name,
            format=form.format,
            filter=form.wanted,
            gate=form.gate,
            plan=form.plan,
            actor_id=actor.id,
        )
    except (Invalid, Conflict) as fault:
        form.errors[getattr(fault, "field", None) or "name"] = fault.message
        return _page(request, db, project, form, status_code=422)
    return RedirectResponse(f"/projects/{project.id}/snapshots#s{made.id}", 303)


@router.get("/projects/{project_id}/snapshots/preview")
def preview(request: Request, db: SessionDep, actor: AdminUser, project_id: Id) -> Response:
    """How many pairs the filter of the form asks for; the page's address follows the filter."""
    project = access.project_of(db, actor, project_id)
    form = snapshot_form(request.query_params)
    try:
        count = _count(db, project, form)
    except Invalid as fault:
        # In its place: what was typed last is what somebody is about to mend.
        return render(request, "snapshots/_preview.html", {"fault": fault})
    context = {
        "project": project,
        "form": form,
        "count": count,
        "noun": _noun(form),
        "fault": None,
        "address": f"/projects/{project.id}/snapshots{form.query}",
    }
    return render(request, "snapshots/_preview.html", context)


@router.get("/snapshots/{snapshot_id}")
def snapshot(request: Request, db: SessionDep, actor: CurrentUser, snapshot_id: Id) -> Response:
    """One snapshot with all that is known of it."""
    view, project = _snapshot(db, actor, snapshot_id)
    context = {
        "project": project,
        "snapshot": view,
        "manifest": queries.manifest_of(db, snapshot_id=view.id),
        "others": [
            other
            for other in queries.snapshots_of(db, project_id=project.id)
            if other.content_hash and other.id != view.id
        ],
        "checks": {check.value: about for check, about in CHECKS.items()},
        "base": base_url(request),
    }
    return render(request, "snapshots/snapshot.html", context)


@router.get("/snapshots/{snapshot_id}/state")
def state(request: Request, db: SessionDep, actor: CurrentUser, snapshot_id: Id) -> Response:
    """Its row in the list, which asks for itself again while it is being built."""
    view, project = _snapshot(db, actor, snapshot_id)
    return render(request, "snapshots/_row.html", {"project": project, "snapshot": view})


@router.get("/snapshots/{snapshot_id}/changes")
def changes(
    request: Request, db: SessionDep, actor: CurrentUser, snapshot_id: Id, since: int
) -> Response:
    """How it differs from another snapshot of the project."""
    after, project = _snapshot(db, actor, snapshot_id)
    before, _ = _snapshot(db, actor, since)
    if before.project_id != after.project_id:
        raise Conflict("You can compare only snapshots of the same project.")
    context = {
        "project": project,
        "before": before,
        "after": after,
        "found": queries.comparison(_store(request), before, after, shown=SHOWN),
        "kinds": list(Difference),
        "shown": SHOWN,
    }
    return render(request, "snapshots/changes.html", context)


@router.get("/snapshots/{snapshot_id}/archive")
def archive(request: Request, db: SessionDep, actor: CurrentUser, snapshot_id: Id) -> Response:
    """The zip file; a download that broke off goes on where it was (RFC 9110, 14.2)."""
    view, _project = _snapshot(db, actor, snapshot_id)
    return archive_response(request, db, store=_store(request), snapshot=view, actor_id=actor.id)


@router.post("/snapshots/{snapshot_id}/attempts")
def try_again(request: Request, db: SessionDep, actor: AdminUser, snapshot_id: Id) -> Response:
    """Back to the list, where it is being built anew."""
    view, project = _snapshot(db, actor, snapshot_id)
    service.try_again(db, store=_store(request), snapshot=db.get_one(Snapshot, view.id))
    return RedirectResponse(f"/projects/{project.id}/snapshots#s{view.id}", 303)


@router.post("/snapshots/{snapshot_id}/deletion")
def delete(request: Request, db: SessionDep, actor: AdminUser, snapshot_id: Id) -> Response:
    """Back to the list, without it."""
    view, project = _snapshot(db, actor, snapshot_id)
    service.delete(
        db, store=_store(request), snapshot=db.get_one(Snapshot, view.id), actor_id=actor.id
    )
    return RedirectResponse(f"/projects/{project.id}/snapshots", 303)


def _page(
    request: Request, db: Session, project: Project, form: SnapshotForm, *, status_code: int = 200
) -> Response:
    count, noun, fault = 0, "", None
    try:
        count, noun = _count(db, project, form), _noun(form)
    except Invalid as refused:
        fault = refused
        form.errors.setdefault(refused.field or "name", refused.message)
    context: dict[str, Any] = {
        "project": project,
        "snapshots": queries.snapshots_of(db, project_id=project.id),
        "form": form,
        "typed": shown(form.words),
        "errors": form.errors,
        "fault": fault,
        "address": None,
        "count": count,
        "noun": noun,
        "choices": choices(db, project_id=project.id),
        **offered(),
    }
    return render(request, "snapshots/list.html", context, status_code=status_code)


def _count(db: Session, project: Project, form: SnapshotForm) -> int:
    """Pairs, or the texts in which the format finds what it is made of. Raises Invalid for a
    format that is none, and for a filter that cannot be asked of it."""
    kind = format_named(form.format).kind
    if kind is PAIRS:
        return count_pairs(db, form.wanted, [project.id])
    kind.refuse(form.wanted)
    return len(kind.select(db, form.wanted, [project.id]))


def _noun(form: SnapshotForm) -> str:
    return format_named(form.format).kind.noun


def _snapshot(db: Session, actor: Actor, snapshot_id: int) -> tuple[SnapshotView, Project]:
    """Whoever may not see it learns nothing of it. Raises NotFound, or Forbidden for annotators,
    whatever the number is."""
    _refuse_annotators(actor)
    view = queries.snapshot_view(db, snapshot_id=snapshot_id, actor=actor)
    return view, access.project_of(db, actor, view.project_id)


def _project(db: Session, actor: Actor, project_id: int) -> Project:
    project = access.project_of(db, actor, project_id)
    _refuse_annotators(actor)
    return project


def _refuse_annotators(actor: Actor) -> None:
    if actor.role is Role.ANNOTATOR:
        raise Forbidden(
            "Only admins and trainers can see snapshots, because snapshots contain "
            "other people's work."
        )


def _store(request: Request) -> SnapshotStore:
    return SnapshotStore(request.app.state.settings.snapshots)
