"""Pages of samples: a project's list and import, one sample, and its images."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.access import project_of, sample_of
from app.samples import image_routes, import_routes, queries
from app.samples.views import SampleState
from app.web.dependencies import AdminUser, CurrentUser, Id, SessionDep
from app.web.pages import render

router = APIRouter()
router.include_router(import_routes.router)
router.include_router(image_routes.router)


@router.get("/projects/{project_id}/samples")
def samples(
    request: Request,
    project_id: Id,
    db: SessionDep,
    actor: AdminUser,
    search: Annotated[str, Query(max_length=200)] = "",
    state: Literal["all", "open", "in_progress", "done"] = "all",
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
) -> Response:
    """The list, searched and filtered."""
    project = project_of(db, actor, project_id)
    # No text in the database holds NUL, and PostgreSQL refuses to look for one.
    search = search.replace("\0", "").strip()
    wanted = None if state == "all" else SampleState(state)
    found = queries.sample_list(db, project=project, search=search, state=wanted, after=after)
    context = {
        "project": project,
        "samples": found,
        "search": search,
        "state": wanted,
        "states": list(SampleState),
        "after": after,
    }
    return render(request, "samples/list.html", context)


@router.get("/samples/{sample_id}")
def sample(request: Request, sample_id: Id, db: SessionDep, actor: CurrentUser) -> Response:
    """A sample with its images and its output; for admins also who works on it."""
    found = sample_of(db, actor, sample_id)
    view = queries.sample_page(db, sample=found, user_id=actor.id, with_drafts=actor.is_admin)
    return render(request, "samples/page.html", {"sample": view})
