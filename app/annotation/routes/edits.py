"""The routes that change the text: accept, correct, insert, delete, split, merge.

Scripts send PUT, forms POST; a form without script is led back to the page.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.access import draft_of
from app.annotation.edits import correction, structure, unsaved
from app.annotation.edits.revision import Stale, draft_state
from app.annotation.routes.responses import listed_answer, saved_answer
from app.annotation.views import facts, workspace
from app.models import Draft, now
from app.web.dependencies import CurrentUser, Id, SessionDep
from app.web.pages import is_htmx, render

router = APIRouter()

BaseVersion = Annotated[int, Form()]
Mode = Annotated[Literal["continue", "keep"], Form()]


@router.api_route("/drafts/{draft_id}/segments/{segment_id}/acceptance", methods=["PUT", "POST"])
def accept(
    request: Request,
    draft_id: Id,
    segment_id: Id,
    base_version: BaseVersion,
    db: SessionDep,
    actor: CurrentUser,
) -> Response:
    """The segment is right as it stands."""
    draft = draft_of(db, actor, draft_id, write=True)
    correction.accept(db, draft=draft, base_version=base_version, segment_id=segment_id)
    return saved_answer(
        request,
        db,
        draft=draft,
        segment_id=segment_id,
        replaced_id=segment_id,
        done="accepted",
        run_before=draft.regeneration_id,
    )


@router.api_route("/drafts/{draft_id}/segments/{segment_id}/correction", methods=["PUT", "POST"])
def correct(
    request: Request,
    draft_id: Id,
    segment_id: Id,
    base_version: BaseVersion,
    db: SessionDep,
    actor: CurrentUser,
    text: Annotated[str, Form()] = "",
    mode: Mode = "continue",
) -> Response:
    """Replace the segment's text; what follows is written again, or kept.

    A save from a page that is out of date changes nothing: it answers 409 with both versions, and
    what was typed is kept as unsaved text.
    """
    draft = draft_of(db, actor, draft_id, write=True)
    run_before = draft.regeneration_id
    try:
        saved_id = correction.correct(
            db,
            draft=draft,
            base_version=base_version,
            segment_id=segment_id,
            text=text,
            rewrite=mode == "continue",
        )
    except Stale:
        return _conflict_answer(request, db, draft=draft, segment_id=segment_id, text=text)
    return saved_answer(
        request,
        db,
        draft=draft,
        segment_id=saved_id,
        replaced_id=segment_id,
        done="accepted" if saved_id == segment_id else "corrected",
        run_before=run_before,
    )


@router.post("/drafts/{draft_id}/segments/{segment_id}/insertion")
def insert(
    request: Request,
    draft_id: Id,
    segment_id: Id,
    base_version: BaseVersion,
    side: Annotated[Literal["before", "after"], Form()],
    db: SessionDep,
    actor: CurrentUser,
    text: Annotated[str, Form()] = "",
    mode: Mode = "keep",
) -> Response:
    """Put a new segment before or after this one."""
    draft = draft_of(db, actor, draft_id, write=True)
    path = draft_state(db, draft).path
    step = path.segment(segment_id)
    after = path.parent(step) if side == "before" else step
    added = structure.insert(
        db,
        draft=draft,
        base_version=base_version,
        after_id=after.id,
        text=text,
        rewrite=mode == "continue",
    )
    return listed_answer(request, db, draft=draft, segment_id=added, done="inserted", go="next")


@router.post("/drafts/{draft_id}/segments/{segment_id}/deletion")
def delete(
    request: Request,
    draft_id: Id,
    segment_id: Id,
    base_version: BaseVersion,
    db: SessionDep,
    actor: CurrentUser,
    mode: Mode = "keep",
) -> Response:
    """Take the segment out; what follows is written again, or kept."""
    draft = draft_of(db, actor, draft_id, write=True)
    structure.delete(
        db,
        draft=draft,
        base_version=base_version,
        segment_id=segment_id,
        rewrite=mode == "continue",
    )
    return listed_answer(request, db, draft=draft, segment_id=None, done="deleted")


@router.post("/drafts/{draft_id}/segments/{segment_id}/division")
def split(
    request: Request,
    draft_id: Id,
    segment_id: Id,
    base_version: BaseVersion,
    at: Annotated[int, Form(ge=0)],
    db: SessionDep,
    actor: CurrentUser,
) -> Response:
    """Cut the segment in two. at: in code points of the text as a textarea shows it."""
    draft = draft_of(db, actor, draft_id, write=True)
    second = structure.split(
        db, draft=draft, base_version=base_version, segment_id=segment_id, at=at
    )
    return listed_answer(request, db, draft=draft, segment_id=second, done="split")


@router.post("/drafts/{draft_id}/segments/{segment_id}/merger")
def merge(
    request: Request,
    draft_id: Id,
    segment_id: Id,
    base_version: BaseVersion,
    db: SessionDep,
    actor: CurrentUser,
) -> Response:
    """Join the segment with the one after it."""
    draft = draft_of(db, actor, draft_id, write=True)
    joined = structure.merge(db, draft=draft, base_version=base_version, segment_id=segment_id)
    return listed_answer(request, db, draft=draft, segment_id=joined, done="merged")


def _conflict_answer(
    request: Request, db: Session, *, draft: Draft, segment_id: int, text: str
) -> Response:
    """409 with both versions. The refused text is kept for the segment that stands there now."""
    now_there = facts.present_segment(db, draft=draft, segment_id=segment_id)
    typed_at_ms = int(now().timestamp() * 1000)
    unsaved.forget(db, draft_id=draft.id, segment_id=segment_id)
    unsaved.keep_unsaved(
        db, draft=draft, segment_id=now_there or segment_id, text=text, typed_at_ms=typed_at_ms
    )
    context = {
        "conflict": workspace.conflict(db, draft=draft, segment_id=segment_id, mine=text),
        "now_there": now_there,
    }
    name = "_conflict.html" if is_htmx(request) else "conflict.html"
    headers = {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"}
    return render(request, f"annotation/{name}", context, status_code=409, headers=headers)
