"""Pages on which admins run their projects; the queue's are in queue_routes.py."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app import access
from app.domain.segments import PROJECT_RULES
from app.models import Project, now
from app.projects import progress, queries, queue_routes, service
from app.projects.forms import ProjectForm, empty_form, form_of, project_form
from app.projects.views import FormView
from app.refusals import Invalid
from app.web.dependencies import AdminUser, Id, SessionDep
from app.web.pages import render

router = APIRouter()
router.include_router(queue_routes.router)

Sent = Annotated[ProjectForm, Depends(project_form)]


@router.get("/projects")
def project_list(
    request: Request, db: SessionDep, _actor: AdminUser, archived: bool = False
) -> Response:
    """All projects with their figures."""
    cards = queries.project_cards(db, archived=archived)
    return render(request, "projects/list.html", {"projects": cards, "archived": archived})


@router.get("/projects/new")
def new_project(request: Request, _actor: AdminUser) -> Response:
    """The form for a new project."""
    return _form(request, "projects/new.html", empty_form())


@router.post("/projects")
def add_project(request: Request, db: SessionDep, actor: AdminUser, sent: Sent) -> Response:
    """On to the new project, or the form again with what is wrong."""
    try:
        project = service.add(db, name=sent.name, settings=sent.settings, actor_id=actor.id)
    except Invalid as fault:
        return _form(request, "projects/new.html", sent.view(fault))
    return RedirectResponse(f"/projects/{project.id}", 303)


@router.get("/projects/{project_id}")
def project_page(request: Request, db: SessionDep, actor: AdminUser, project_id: Id) -> Response:
    """Figures, progress and people of a project."""
    project = access.project_of(db, actor, project_id)
    view = progress.project_page(db, project=project, now=now())
    return render(request, "projects/project.html", {"project": view})


@router.get("/projects/{project_id}/settings")
def settings_page(request: Request, db: SessionDep, actor: AdminUser, project_id: Id) -> Response:
    """The project's settings as a form."""
    project = access.project_of(db, actor, project_id)
    return _form(request, "projects/settings.html", form_of(project), project)


@router.post("/projects/{project_id}/settings")
def change_settings(
    request: Request, db: SessionDep, actor: AdminUser, project_id: Id, sent: Sent
) -> Response:
    """Back to the settings, or the form again with what is wrong."""
    project = access.project_of(db, actor, project_id)
    try:
        service.change(db, project=project, settings=sent.settings, actor_id=actor.id)
    except Invalid as fault:
        return _form(request, "projects/settings.html", sent.view(fault), project)
    return RedirectResponse(f"/projects/{project.id}/settings?saved=1", 303)


@router.post("/projects/{project_id}/archival")
def archive(db: SessionDep, actor: AdminUser, project_id: Id) -> Response:
    """Back to the project, which is archived now."""
    project = access.project_of(db, actor, project_id)
    service.archive(db, project=project, actor_id=actor.id)
    return RedirectResponse(f"/projects/{project.id}", 303)


@router.post("/projects/{project_id}/reopening")
def reopen(db: SessionDep, actor: AdminUser, project_id: Id) -> Response:
    """Back to the project, which is in the queues again."""
    project = access.project_of(db, actor, project_id)
    service.reopen(db, project=project, actor_id=actor.id)
    return RedirectResponse(f"/projects/{project.id}", 303)


@router.get("/projects/{project_id}/members")
def members(request: Request, db: SessionDep, actor: AdminUser, project_id: Id) -> Response:
    """Who works in the project, and who may be added."""
    return _members(request, db, access.project_of(db, actor, project_id))


@router.post("/projects/{project_id}/members")
def add_member(
    request: Request,
    db: SessionDep,
    actor: AdminUser,
    project_id: Id,
    name: Annotated[str, Form()] = "",
) -> Response:
    """Back to the members, or the page again with what is wrong."""
    project = access.project_of(db, actor, project_id)
    try:
        service.add_member(db, project=project, name=name, actor_id=actor.id)
    except Invalid as fault:
        return _members(request, db, project, fault)
    return RedirectResponse(f"/projects/{project.id}/members", 303)


@router.post("/projects/{project_id}/members/{user_id}/removal")
def remove_member(db: SessionDep, actor: AdminUser, project_id: Id, user_id: Id) -> Response:
    """Back to the members."""
    project = access.project_of(db, actor, project_id)
    service.remove_member(db, project=project, user_id=user_id, actor_id=actor.id)
    return RedirectResponse(f"/projects/{project.id}/members", 303)


def _form(
    request: Request, template: str, form: FormView, project: Project | None = None
) -> Response:
    context = {
        "form": form,
        "rules": _rules(project),
        "project": project,
        "saved": request.query_params.get("saved") == "1",
    }
    return render(request, template, context, status_code=422 if form.errors else 200)


def _rules(project: Project | None) -> list[str]:
    """What may be chosen: only a project that has no rule yet can wait for its first file."""
    waits = project is None or project.rule is None
    return [*([service.AUTOMATIC] if waits else []), *PROJECT_RULES]


def _members(
    request: Request, db: Session, project: Project, fault: Invalid | None = None
) -> Response:
    context = {
        "project": project,
        "people": progress.people(db, project_id=project.id),
        "candidates": queries.candidates(db, project_id=project.id),
        "fault": fault,
    }
    return render(request, "projects/members.html", context, status_code=422 if fault else 200)
