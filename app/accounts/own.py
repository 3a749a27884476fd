"""Account pages: name, password, preferences, API tokens."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from app.accounts import queries, service
from app.domain.messages import Message
from app.models import Role
from app.refusals import Forbidden, Invalid
from app.security import PASSWORD_MIN, SCOPES, Actor
from app.web.dependencies import CurrentUser, Id, SessionDep
from app.web.hosts import base_url
from app.web.pages import render

router = APIRouter()

# What the page says after a change; the name travels in the address.
_DONE = frozenset({"name", "password", "preferences"})
_YEAR_S = 31_536_000


class Preferences(BaseModel):
    """What an account remembers about the screen; a field left out stays as it is.

    letters: shortcuts of a single letter are on (WCAG 2.1.4 wants them to be switched off). split:
    the share of the images in the workspace, in percent. follow: images follow the segment. grid:
    all images are shown small. view: corrected segments with their changes, or as they will be.
    underline: words that the model was unsure of are underlined.
    """

    model_config = ConfigDict(extra="forbid")

    theme: Literal["light", "dark", "system"] | None = None
    locale: Annotated[str, Field(pattern="^[A-Za-z_]{0,20}$")] | None = None
    letters: bool | None = None
    split: Annotated[int, Field(ge=15, le=75)] | None = None
    follow: bool | None = None
    grid: bool | None = None
    view: Literal["changes", "final"] | None = None
    underline: bool | None = None


@router.get("/account")
def account_page(request: Request, actor: CurrentUser, done: str = "") -> Response:
    """Name, password, appearance."""
    return _account_page(request, actor, done=done)


@router.post("/account/name")
def rename(
    request: Request, db: SessionDep, actor: CurrentUser, display_name: Annotated[str, Form()] = ""
) -> Response:
    """Back to the page, or the page with what is wrong."""
    try:
        service.rename(db, actor=actor, display_name=display_name)
    except Invalid as fault:
        return _account_page(request, actor, fault=fault, display_name=display_name)
    return RedirectResponse("/account?done=name", 303)


@router.post("/account/password")
def change_password(
    request: Request,
    db: SessionDep,
    actor: CurrentUser,
    old_password: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    repeated: Annotated[str, Form()] = "",
) -> Response:
    """Back to the page, or the page with what is wrong."""
    try:
        service.change_password(db, actor=actor, old=old_password, new=password, repeated=repeated)
    except Invalid as fault:
        return _account_page(request, actor, fault=fault)
    return RedirectResponse("/account?done=password", 303)


@router.put("/preferences")
def put_preferences(
    request: Request, db: SessionDep, actor: CurrentUser, preferences: Preferences
) -> Response:
    """204, for scripts of the page."""
    return _keep(request, db, actor, preferences, Response(status_code=204))


@router.post("/preferences")
def post_preferences(
    request: Request,
    db: SessionDep,
    actor: CurrentUser,
    theme: Annotated[Literal["light", "dark", "system"], Form()],
    locale: Annotated[str, Form(pattern="^[A-Za-z_]{0,20}$")] = "",
    letters: Annotated[bool, Form()] = False,
) -> Response:
    """Back to the page, for its form (a box that is not ticked is not sent)."""
    wanted = Preferences(theme=theme, locale=locale, letters=letters)
    back = RedirectResponse("/account?done=preferences", 303)
    return _keep(request, db, actor, wanted, back)


@router.get("/tokens")
def tokens_page(request: Request, db: SessionDep, actor: CurrentUser) -> Response:
    """The own API tokens; an admin sees everybody's."""
    return _tokens_page(request, db, actor)


@router.post("/tokens")
def create_token(
    request: Request,
    db: SessionDep,
    actor: CurrentUser,
    name: Annotated[str, Form()] = "",
    scopes: Annotated[list[str] | None, Form()] = None,
    days: Annotated[str, Form()] = "90",
) -> Response:
    """The page with the new token, which is shown once, or with what is wrong."""
    form = {"name": name, "scopes": scopes or [], "days": days}
    try:
        token = service.create_token(
            db, user_id=actor.id, name=name, scopes=scopes or [], days=_days(days)
        )
    except Invalid as fault:
        return _tokens_page(request, db, actor, form=form, fault=fault)
    return _tokens_page(request, db, actor, token=token)


@router.post("/tokens/{token_id}/revocation")
def revoke_token(db: SessionDep, actor: CurrentUser, token_id: Id) -> Response:
    """Back to the page."""
    service.revoke_token(db, token_id=token_id, actor=actor)
    return RedirectResponse("/tokens", 303)


def _account_page(
    request: Request,
    actor: Actor,
    *,
    fault: Invalid | None = None,
    done: str = "",
    display_name: str | None = None,
) -> Response:
    return render(
        request,
        "accounts/account.html",
        {
            "fault": fault,
            "done": done if done in _DONE else "",
            "display_name": actor.display_name if display_name is None else display_name,
            "password_min": PASSWORD_MIN,
            "letters": actor.preferences.get("letters", True),
            "chosen_theme": request.cookies.get("theme", "system"),
            "chosen_locale": actor.preferences.get("locale", ""),
        },
        status_code=422 if fault else 200,
    )


def _tokens_page(
    request: Request,
    db: SessionDep,
    actor: Actor,
    *,
    form: dict[str, Any] | None = None,
    fault: Invalid | None = None,
    token: str | None = None,
) -> Response:
    if actor.role is Role.ANNOTATOR:
        raise Forbidden("API tokens are for trainers and admins.")
    return render(
        request,
        "accounts/tokens.html",
        {
            "tokens": queries.tokens(db, actor=actor),
            "scopes": SCOPES,
            "form": form or {"name": "", "scopes": ["pairs:read"], "days": "90"},
            "fault": fault,
            "token": token,
            "example": f"{base_url(request)}/api/v1/docs",
        },
        status_code=422 if fault else 200,
        headers={"Cache-Control": "no-store"} if token else None,
    )


def _keep(
    request: Request, db: SessionDep, actor: Actor, wanted: Preferences, response: Response
) -> Response:
    locales = ("", *request.app.state.templates.locales)
    if wanted.locale is not None and wanted.locale not in locales:
        raise Invalid(
            Message("There is no translation for %(locale)s.", locale=wanted.locale), "locale"
        )
    service.set_preferences(db, actor=actor, changes=wanted.model_dump(exclude_none=True))
    if wanted.theme in ("light", "dark"):
        response.set_cookie("theme", wanted.theme, max_age=_YEAR_S, samesite="lax")
    elif wanted.theme == "system":
        response.delete_cookie("theme")
    if wanted.locale:
        response.set_cookie("locale", wanted.locale, max_age=_YEAR_S, samesite="lax")
    elif wanted.locale == "":
        response.delete_cookie("locale")
    return response


def _days(text: str) -> int | None:
    """The form sends "0" for a token without an end."""
    if not text.strip().isdecimal() or len(text) > 6:
        raise Invalid("Choose when the token expires.", "days")
    return int(text) or None
