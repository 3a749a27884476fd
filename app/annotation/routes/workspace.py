"""The workspace: its page and the fragments that it reads.

The routes that change a draft are beside it: edits.py (the text), runs.py (runs, undo, the end) and
notes.py (unsaved text, notes, images).
"""

from itertools import groupby
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel

from app.access import draft_of, reading_of, sample_of
from app.annotation.edits import assignment
from app.annotation.routes import edits, notes, runs
from app.annotation.routes.responses import run_answer
from app.annotation.views import facts
from app.annotation.views import history as history_views
from app.annotation.views import workspace as workspace_views
from app.annotation.views.segments import word_diff
from app.domain.diffs import tally
from app.domain.text import language, normalise_newlines
from app.web.dependencies import CurrentUser, Id, SessionDep
from app.web.pages import is_htmx, render

router = APIRouter()
router.include_router(edits.router)
router.include_router(runs.router)
router.include_router(notes.router)


class Version(BaseModel):
    """The state of a draft, for a page that asks whether it is still up to date."""

    version: int
    regeneration_id: int | None
    archived: bool


@router.post("/samples/{sample_id}/draft")
def open_draft(sample_id: Id, db: SessionDep, actor: CurrentUser) -> Response:
    """Take a sample, or go on with it."""
    sample_of(db, actor, sample_id, annotate=True)
    draft = assignment.open_draft(db, sample_id=sample_id, user_id=actor.id)
    return RedirectResponse(f"/drafts/{draft.id}", 303)


@router.post("/queue/next")
def open_next(
    db: SessionDep, actor: CurrentUser, project_id: Annotated[int | None, Form(ge=1)] = None
) -> Response:
    """Take the next open sample; back to the queue, which says so, when there is none."""
    sample_id = assignment.next_sample(db, user_id=actor.id, project_id=project_id)
    if sample_id is None:
        return RedirectResponse("/queue", 303)
    draft = assignment.open_draft(db, sample_id=sample_id, user_id=actor.id)
    return RedirectResponse(f"/drafts/{draft.id}", 303)


@router.get("/drafts/{draft_id}")
def workspace(request: Request, draft_id: Id, db: SessionDep, actor: CurrentUser) -> HTMLResponse:
    """The workspace of a draft; read-only for admins who look at another's, and when archived."""
    reading = reading_of(db, actor, draft_id)
    view = workspace_views.workspace(db, draft=reading.draft, read_only=reading.read_only)
    over = reading.own and reading.read_only
    following = assignment.next_sample(db, user_id=actor.id) if over else None
    context = {
        "workspace": view,
        "is_owner": reading.own,
        "archived": reading.archived,
        "next_sample": following,
    }
    return render(request, "annotation/page.html", context)


@router.get("/drafts/{draft_id}/version")
def version(draft_id: Id, db: SessionDep, actor: CurrentUser) -> Version:
    """The draft's current version."""
    reading = reading_of(db, actor, draft_id)
    draft = reading.draft
    return Version(
        version=draft.version, regeneration_id=draft.regeneration_id, archived=reading.archived
    )


@router.get("/drafts/{draft_id}/unsaved")
def unsaved(request: Request, draft_id: Id, db: SessionDep, actor: CurrentUser) -> HTMLResponse:
    """What was typed for segments that have left the text."""
    draft = draft_of(db, actor, draft_id, write=False)
    view = workspace_views.workspace(db, draft=draft)
    context = {"draft_id": draft.id, "orphans": view.orphans}
    return render(request, "annotation/_orphans.html", context)


@router.get("/drafts/{draft_id}/segments/{segment_id}")
def segment(
    request: Request, draft_id: Id, segment_id: Id, db: SessionDep, actor: CurrentUser
) -> HTMLResponse:
    """A segment for reading."""
    reading = reading_of(db, actor, draft_id)
    context = {
        "draft_id": draft_id,
        "segment": workspace_views.segment(db, draft=reading.draft, segment_id=segment_id),
        "read_only": reading.read_only,
        "archived": reading.own and reading.archived,
    }
    return render(request, "annotation/_segment.html", context)


@router.get("/drafts/{draft_id}/segments/{segment_id}/editor")
def editor(
    request: Request, draft_id: Id, segment_id: Id, db: SessionDep, actor: CurrentUser
) -> HTMLResponse:
    """The editing card of a segment; without script a page of its own."""
    draft = draft_of(db, actor, draft_id, write=True)
    context = {
        "draft_id": draft.id,
        "version": draft.version,
        "editor": workspace_views.editor(db, draft=draft, segment_id=segment_id),
        "image_count": facts.image_count(db, draft=draft),
        "writing": facts.is_writing(db, draft=draft),
    }
    name = "_editor.html" if is_htmx(request) else "editor.html"
    return render(request, f"annotation/{name}", context)


@router.get("/drafts/{draft_id}/segments/{segment_id}/insertion")
def insertion(
    request: Request,
    draft_id: Id,
    segment_id: Id,
    db: SessionDep,
    actor: CurrentUser,
    side: Annotated[Literal["before", "after"], Query()],
) -> HTMLResponse:
    """The card for writing a segment before or after this one."""
    draft = draft_of(db, actor, draft_id, write=True)
    context = {
        "draft_id": draft.id,
        "version": draft.version,
        "segment": workspace_views.segment(db, draft=draft, segment_id=segment_id),
        "side": side,
    }
    name = "_insertion.html" if is_htmx(request) else "insertion.html"
    return render(request, f"annotation/{name}", context)


@router.post("/drafts/{draft_id}/segments/{segment_id}/diff")
def diff(
    request: Request,
    draft_id: Id,
    segment_id: Id,
    db: SessionDep,
    actor: CurrentUser,
    text: Annotated[str, Form()] = "",
) -> HTMLResponse:
    """What is typed beside the model's text: the live comparison."""
    draft = draft_of(db, actor, draft_id, write=False)
    base = facts.base_text(db, draft=draft, segment_id=segment_id)
    changes = word_diff(base, normalise_newlines(text))
    inserted, deleted = tally(changes)
    context = {
        "changes": changes,
        "inserted": inserted,
        "deleted": deleted,
        "language": language(base),
        "segment_id": segment_id,
    }
    return render(request, "annotation/_diff.html", context)


@router.get("/drafts/{draft_id}/segments/{segment_id}/history")
def history(
    request: Request, draft_id: Id, segment_id: Id, db: SessionDep, actor: CurrentUser
) -> HTMLResponse:
    """Facts, versions and continuations of a segment."""
    reading = reading_of(db, actor, draft_id)
    context = {
        "draft_id": draft_id,
        "read_only": reading.read_only,
        "history": history_views.history(db, draft=reading.draft, segment_id=segment_id),
    }
    return render(request, "annotation/_history.html", context)


@router.get("/drafts/{draft_id}/regenerations/{regeneration_id}")
def run(
    request: Request, draft_id: Id, regeneration_id: Id, db: SessionDep, actor: CurrentUser
) -> Response:
    """The bar of the current run, and what counts beside it."""
    reading = reading_of(db, actor, draft_id)
    return run_answer(request, db, draft=reading.draft, read_only=reading.read_only)


@router.get("/drafts/{draft_id}/regenerations/{regeneration_id}/superseded")
def superseded(
    request: Request, draft_id: Id, regeneration_id: Id, db: SessionDep, actor: CurrentUser
) -> HTMLResponse:
    """The text that a run displaced."""
    draft = draft_of(db, actor, draft_id, write=False)
    view = workspace_views.superseded(db, draft=draft, regeneration_id=regeneration_id)
    context = {"draft_id": draft.id, "superseded": view}
    return render(request, "annotation/_superseded_text.html", context)


@router.get("/drafts/{draft_id}/regenerations/{regeneration_id}/comparison")
def comparison(
    request: Request, draft_id: Id, regeneration_id: Id, db: SessionDep, actor: CurrentUser
) -> HTMLResponse:
    """Two continuations side by side."""
    reading = reading_of(db, actor, draft_id)
    draft = reading.draft
    compared = history_views.comparison(db, draft=draft, regeneration_id=regeneration_id)
    context = {
        "workspace": workspace_views.workspace(db, draft=draft, read_only=reading.read_only),
        "comparison": compared,
        "blocks": [
            (same, list(rows)) for same, rows in groupby(compared.rows, key=lambda row: row.same)
        ],
    }
    return render(request, "annotation/comparison.html", context)
