"""The page on which admins see what writes the texts, and choose it."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from app.policies import queries, service
from app.web.dependencies import AdminUser, Id, SessionDep
from app.web.pages import is_htmx, render

router = APIRouter(prefix="/policies")


@router.get("")
def policy_list(request: Request, db: SessionDep, _actor: AdminUser) -> Response:
    """All policies and the workers that are alive; for htmx the table and what is about it."""
    alive = queries.workers(db)
    context = {"policies": queries.policies(db, alive=alive), "workers": alive}
    return render(
        request, "policies/_table.html" if is_htmx(request) else "policies/list.html", context
    )


@router.post("/{policy_id}/activation")
def activate(db: SessionDep, actor: AdminUser, policy_id: Id) -> Response:
    """Back to the list, where it is being loaded."""
    service.activate(db, policy_id=policy_id, actor_id=actor.id)
    return RedirectResponse("/policies", 303)


@router.post("/{policy_id}/deactivation")
def deactivate(db: SessionDep, actor: AdminUser, policy_id: Id) -> Response:
    """Back to the list; the base model writes again."""
    service.deactivate(db, policy_id=policy_id, actor_id=actor.id)
    return RedirectResponse("/policies", 303)
