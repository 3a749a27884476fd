"""Log-in, log-out and the invitation's page."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from app.accounts import queries, service, sessions
from app.refusals import Invalid
from app.security import DEVICE_COOKIE, PASSWORD_MIN, device_cookie, session_cookie
from app.web.dependencies import OptionalUser, SessionDep
from app.web.pages import local_path, render

router = APIRouter()

_PRIVATE = {"Cache-Control": "no-store"}


@router.get("/login")
def login_page(request: Request, db: SessionDep, actor: OptionalUser, next: str = "/") -> Response:
    """The form, with the demo accounts in a demonstration."""
    if actor:
        return RedirectResponse(local_path(next), 303)
    return _login_page(request, db, next=next)


@router.post("/login")
def log_in(
    request: Request,
    db: SessionDep,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """On to where the user wanted to go, or the form again with what is wrong."""
    result = sessions.log_in(
        db,
        name=name,
        password=password,
        address=request.client.host if request.client else "",
        hours=request.app.state.settings.session_hours,
        device=request.cookies.get(DEVICE_COOKIE),
    )
    if isinstance(result, sessions.LoggedIn):
        return _enter(request, result, next)
    return _login_page(request, db, next=next, name=name, refused=result)


@router.post("/logout")
def log_out(request: Request, db: SessionDep, actor: OptionalUser) -> Response:
    """The log-in page. Twice is no error: the second tab logs out too."""
    if actor:
        sessions.log_out(db, user_id=actor.id, session_id=actor.session_id)
    response = RedirectResponse("/login", 303)
    response.headers.append("Set-Cookie", _cookie(request, ""))
    return response


@router.get("/invitation/{token}")
def invitation_page(request: Request, db: SessionDep, token: str) -> Response:
    """The form that sets a password."""
    return _invitation_page(request, service.invited(db, secret=token).name)


@router.post("/invitation/{token}")
def accept_invitation(
    request: Request,
    db: SessionDep,
    token: str,
    password: Annotated[str, Form()] = "",
    repeated: Annotated[str, Form()] = "",
) -> Response:
    """Logged in with the new password, or the form again with what is wrong."""
    name = service.invited(db, secret=token).name
    try:
        if password != repeated:
            raise Invalid("The passwords do not match.", "repeated")
        result = service.accept_invitation(
            db,
            secret=token,
            password=password,
            hours=request.app.state.settings.session_hours,
            device=request.cookies.get(DEVICE_COOKIE),
        )
    except Invalid as fault:
        return _invitation_page(request, name, fault)
    return _enter(request, result, "/")


def _login_page(
    request: Request,
    db: SessionDep,
    *,
    next: str,
    name: str = "",
    refused: sessions.Refused | None = None,
) -> Response:
    demo = request.app.state.settings.demo
    headers = {"Retry-After": str(refused.wait_s)} if refused and refused.wait_s else {}
    status = 200 if refused is None else 429 if refused.wait_s else 401
    return render(
        request,
        "accounts/login.html",
        {
            "next": local_path(next),
            "name": name,
            "refused": refused,
            "demo_accounts": queries.demo_accounts(db) if demo else (),
        },
        status_code=status,
        headers=_PRIVATE | headers,
    )


def _invitation_page(request: Request, name: str, fault: Invalid | None = None) -> Response:
    return render(
        request,
        "accounts/invitation.html",
        {"name": name, "fault": fault, "password_min": PASSWORD_MIN},
        status_code=422 if fault else 200,
        headers=_PRIVATE,
    )


def _enter(request: Request, login: sessions.LoggedIn, to: str) -> Response:
    response = RedirectResponse(local_path(to), 303)
    response.headers.append("Set-Cookie", _cookie(request, login.token))
    settings, https = request.app.state.settings, request.url.scheme == "https"
    response.headers.append("Set-Cookie", device_cookie(settings, login.device, https=https))
    theme = login.preferences.get("theme")
    if theme in ("light", "dark"):
        response.set_cookie("theme", theme, max_age=31_536_000, samesite="lax")
    return response


def _cookie(request: Request, token: str) -> str:
    https = request.url.scheme == "https"
    return session_cookie(request.app.state.settings, token, https=https)
