"""Admin pages to add people and to send them links that set a password."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from app.accounts import queries, service
from app.models import Role
from app.refusals import Invalid
from app.web.dependencies import AdminUser, Id, SessionDep
from app.web.hosts import base_url
from app.web.pages import render

router = APIRouter(prefix="/people")


@router.get("")
def people_page(request: Request, db: SessionDep, _actor: AdminUser) -> Response:
    """All accounts."""
    return _page(request, db)


@router.post("")
def add_person(
    request: Request,
    db: SessionDep,
    actor: AdminUser,
    name: Annotated[str, Form()] = "",
    display_name: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "annotator",
) -> Response:
    """The page with the invitation's link, which is shown once, or with what is wrong."""
    form = {"name": name, "display_name": display_name, "role": role}
    try:
        invitation = service.add_user(
            db, name=name, display_name=display_name, role=_role(role), actor_id=actor.id
        )
    except Invalid as fault:
        return _page(request, db, form=form, fault=fault)
    return _page(request, db, invitation=invitation)


@router.get("/{user_id}")
def person_page(request: Request, db: SessionDep, _actor: AdminUser, user_id: Id) -> Response:
    """One account: what it is, and what can be changed."""
    return _person_page(request, db, user_id)


@router.post("/{user_id}/invitation")
def invite(request: Request, db: SessionDep, actor: AdminUser, user_id: Id) -> Response:
    """The page with a new link: for who lost the first one, or forgot the password."""
    invitation = service.invite(db, user_id=user_id, actor_id=actor.id)
    return _person_page(request, db, user_id, invitation)


@router.post("/{user_id}/role")
def change_role(
    db: SessionDep, actor: AdminUser, user_id: Id, role: Annotated[str, Form()] = ""
) -> Response:
    """Back to the page."""
    service.change_role(db, user_id=user_id, role=_role(role), actor=actor)
    return RedirectResponse(f"/people/{user_id}", 303)


@router.post("/{user_id}/disablement")
def disable(db: SessionDep, actor: AdminUser, user_id: Id) -> Response:
    """Back to the page."""
    service.disable(db, user_id=user_id, actor=actor)
    return RedirectResponse(f"/people/{user_id}", 303)


@router.post("/{user_id}/enablement")
def enable(db: SessionDep, actor: AdminUser, user_id: Id) -> Response:
    """Back to the page."""
    service.enable(db, user_id=user_id, actor=actor)
    return RedirectResponse(f"/people/{user_id}", 303)


def _page(
    request: Request,
    db: SessionDep,
    *,
    form: dict[str, str] | None = None,
    fault: Invalid | None = None,
    invitation: service.Invitation | None = None,
) -> Response:
    context = {
        "people": queries.people(db),
        "roles": list(Role),
        "form": form or {"name": "", "display_name": "", "role": "annotator"},
        "fault": fault,
    }
    return _shown(request, "accounts/people.html", context, invitation, 422 if fault else 200)


def _person_page(
    request: Request,
    db: SessionDep,
    user_id: int,
    invitation: service.Invitation | None = None,
) -> Response:
    context = {"person": queries.person(db, user_id=user_id), "roles": list(Role)}
    return _shown(request, "accounts/person.html", context, invitation)


def _shown(
    request: Request,
    name: str,
    context: dict[str, Any],
    invitation: service.Invitation | None,
    status_code: int = 200,
) -> Response:
    """A page with the invitation's link on it, if there is one: it must be kept nowhere."""
    link = f"{base_url(request)}/invitation/{invitation.secret}" if invitation else None
    headers = {"Cache-Control": "no-store"} if invitation else None
    context |= {"invitation": invitation, "link": link}
    return render(request, name, context, status_code=status_code, headers=headers)


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError as error:
        raise Invalid("Choose a role: annotator, admin or trainer.", "role") from error
