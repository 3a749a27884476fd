"""My work: where annotators go on, and what the others land on."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.models import Role
from app.projects.queries import project_cards
from app.projects.queue_queries import my_drafts, my_projects, open_samples
from app.security import Actor
from app.web.dependencies import CurrentUser, SessionDep
from app.web.hosts import base_url
from app.web.pages import render

router = APIRouter()


class Show(StrEnum):
    """Which of the user's samples are listed."""

    PROGRESS = "progress"
    OPEN = "open"
    DONE = "done"


ProjectId = Annotated[int | None, Query(ge=1, le=2**63 - 1)]


@router.get("/")
def home(request: Request, db: SessionDep, actor: CurrentUser) -> Response:
    """My work for annotators; admins land on the projects, trainers on their pairs."""
    if actor.is_admin:
        return RedirectResponse("/projects", 303)
    if actor.role is Role.TRAINER:
        context = {"projects": project_cards(db, member_id=actor.id), "base": base_url(request)}
        return render(request, "queue/trainer.html", context)
    return _queue(request, db, actor)


@router.get("/queue")
def queue(
    request: Request,
    db: SessionDep,
    actor: CurrentUser,
    project: ProjectId = None,
    show: Show | None = None,
    after: str | None = None,
) -> Response:
    """My work, of one project or all; a page of what is in progress, open or done."""
    return _queue(request, db, actor, project_id=project, show=show, after=after)


def _queue(
    request: Request,
    db: Session,
    actor: Actor,
    *,
    project_id: int | None = None,
    show: Show | None = None,
    after: str | None = None,
) -> Response:
    projects = my_projects(db, user_id=actor.id)
    chosen = [card for card in projects if project_id in (None, card.id)]
    counts = {
        Show.PROGRESS: sum(card.samples.in_progress for card in chosen),
        Show.OPEN: sum(card.samples.open for card in chosen),
        Show.DONE: sum(card.samples.done for card in chosen),
    }
    if show is None:
        # Where there is something to do.
        show = next((each for each in Show if counts[each]), Show.OPEN)
    finished = show is Show.DONE
    in_progress = my_drafts(db, user_id=actor.id, project_id=project_id, finished=False)
    drafts = in_progress
    if show is not Show.OPEN and (finished or after):
        drafts = my_drafts(
            db, user_id=actor.id, project_id=project_id, finished=finished, after=after
        )
    free = (
        open_samples(db, user_id=actor.id, project_id=project_id, after=after)
        if show is Show.OPEN
        else None
    )
    context = {
        "projects": projects,
        "project": next((card for card in chosen if card.id == project_id), None),
        "counts": counts,
        "show": show,
        "latest": next(iter(in_progress.items), None),
        "drafts": drafts if free is None else None,
        "free": free,
        "first": after is None,
    }
    return render(request, "queue/page.html", context)
