"""Routes for unsaved text, notes and the image of a segment."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field

from app.access import draft_of
from app.annotation.edits import unsaved
from app.annotation.views import workspace
from app.models import now
from app.web.dependencies import CurrentUser, Id, SessionDep
from app.web.pages import render

router = APIRouter()


class Typed(BaseModel):
    """Text that is typed and not saved. typed_at_ms: the browser's clock, in milliseconds."""

    text: str
    typed_at_ms: int = Field(ge=0, lt=2**53)


class Kept(BaseModel):
    """When the server stored the text; None: it has a newer one."""

    kept_at: datetime | None


@router.put("/drafts/{draft_id}/segments/{segment_id}/unsaved")
def keep(draft_id: Id, segment_id: Id, typed: Typed, db: SessionDep, actor: CurrentUser) -> Kept:
    """Keep what is typed for a segment until it is saved."""
    # Also in an archived project: unsaved text changes no result, and nobody should lose it.
    draft = draft_of(db, actor, draft_id, write=True, archived=True)
    kept_at = unsaved.keep_unsaved(
        db,
        draft=draft,
        segment_id=segment_id,
        text=typed.text,
        typed_at_ms=typed.typed_at_ms,
    )
    return Kept(kept_at=kept_at)


@router.delete("/drafts/{draft_id}/segments/{segment_id}/unsaved")
def discard(draft_id: Id, segment_id: Id, db: SessionDep, actor: CurrentUser) -> Response:
    """Drop the kept text of a segment."""
    draft = draft_of(db, actor, draft_id, write=True, archived=True)
    unsaved.forget(db, draft_id=draft.id, segment_id=segment_id)
    return Response()


@router.put("/drafts/{draft_id}/segments/{segment_id}/note")
def note(draft_id: Id, segment_id: Id, typed: Typed, db: SessionDep, actor: CurrentUser) -> Kept:
    """Leave a note for reviewers; an empty one removes it."""
    draft = draft_of(db, actor, draft_id, write=True)
    unsaved.note(db, draft=draft, segment_id=segment_id, text=typed.text)
    return Kept(kept_at=now())


@router.put("/drafts/{draft_id}/segments/{segment_id}/image")
def link_image(
    request: Request,
    draft_id: Id,
    segment_id: Id,
    db: SessionDep,
    actor: CurrentUser,
    image_index: Annotated[str, Form(pattern="^[0-9]{0,6}$")] = "",
) -> HTMLResponse:
    """Say which image a segment speaks of; an empty index goes back to what the rule knew."""
    draft = draft_of(db, actor, draft_id, write=True)
    index = int(image_index) if image_index else None
    unsaved.link_image(db, draft=draft, segment_id=segment_id, image_index=index)
    view = workspace.segment(db, draft=draft, segment_id=segment_id)
    return render(request, "annotation/_image_chip.html", {"draft_id": draft.id, "segment": view})
