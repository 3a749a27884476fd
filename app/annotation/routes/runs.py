"""The routes that steer a draft: continue again, stop, restore, undo, finish, reopen."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.access import draft_of
from app.annotation.edits import assignment, choice, correction, reversal
from app.annotation.edits.revision import draft_state
from app.annotation.routes.edits import BaseVersion
from app.annotation.routes.responses import listed_answer, run_answer, to_page
from app.models import Draft
from app.web.dependencies import CurrentUser, Id, SessionDep
from app.web.pages import is_htmx

router = APIRouter()


@router.post("/drafts/{draft_id}/regenerations")
def regenerate(
    request: Request,
    draft_id: Id,
    base_version: BaseVersion,
    db: SessionDep,
    actor: CurrentUser,
    segment_id: Annotated[int | None, Form()] = None,
) -> Response:
    """Continue again after a segment; without one, after the last."""
    draft = draft_of(db, actor, draft_id, write=True)
    after = segment_id or draft_state(db, draft).path.leaf.id
    correction.regenerate(db, draft=draft, base_version=base_version, segment_id=after)
    return listed_answer(request, db, draft=draft, segment_id=after, done="regenerating")


@router.api_route(
    "/drafts/{draft_id}/regenerations/{regeneration_id}/choice", methods=["PUT", "POST"]
)
def choose(
    request: Request,
    draft_id: Id,
    regeneration_id: Id,
    base_version: BaseVersion,
    segment_id: Annotated[int, Form()],
    db: SessionDep,
    actor: CurrentUser,
) -> Response:
    """Go on with one of the candidates that a run offers."""
    draft = draft_of(db, actor, draft_id, write=True)
    chosen = choice.choose(
        db,
        draft=draft,
        base_version=base_version,
        regeneration_id=regeneration_id,
        segment_id=segment_id,
    )
    return listed_answer(request, db, draft=draft, segment_id=chosen, done="chosen")


@router.post("/drafts/{draft_id}/regenerations/{regeneration_id}/continuation")
def write_on(
    request: Request, draft_id: Id, regeneration_id: Id, db: SessionDep, actor: CurrentUser
) -> Response:
    """Have a run that waits for its annotator write on; sending it twice asks once."""
    draft = draft_of(db, actor, draft_id, write=True)
    choice.write_on(db, draft=draft, regeneration_id=regeneration_id)
    if not is_htmx(request):
        return to_page(draft)
    return run_answer(request, db, draft=draft)


@router.delete("/drafts/{draft_id}/regenerations/{regeneration_id}")
def stop(
    request: Request, draft_id: Id, regeneration_id: Id, db: SessionDep, actor: CurrentUser
) -> Response:
    """Stop a run; what it has written stays."""
    draft = draft_of(db, actor, draft_id, write=True)
    correction.stop(db, draft=draft, regeneration_id=regeneration_id)
    return run_answer(request, db, draft=draft)


@router.post("/drafts/{draft_id}/regenerations/{regeneration_id}/restoration")
def restore(
    request: Request,
    draft_id: Id,
    regeneration_id: Id,
    base_version: BaseVersion,
    db: SessionDep,
    actor: CurrentUser,
) -> Response:
    """Bring back the continuation that this run displaced."""
    draft = draft_of(db, actor, draft_id, write=True)
    reversal.restore(db, draft=draft, base_version=base_version, regeneration_id=regeneration_id)
    return listed_answer(request, db, draft=draft, segment_id=None, done="restored")


@router.post("/drafts/{draft_id}/reversals")
def undo(
    request: Request, draft_id: Id, base_version: BaseVersion, db: SessionDep, actor: CurrentUser
) -> Response:
    """Take back the last step."""
    draft = draft_of(db, actor, draft_id, write=True)
    undone = reversal.undo(db, draft=draft, base_version=base_version)
    done = "undone" if undone else "nothing"
    return listed_answer(request, db, draft=draft, segment_id=None, done=done)


@router.api_route("/drafts/{draft_id}/completion", methods=["PUT", "POST"])
def finish(
    request: Request, draft_id: Id, base_version: BaseVersion, db: SessionDep, actor: CurrentUser
) -> Response:
    """The work on this sample is done."""
    draft = draft_of(db, actor, draft_id, write=True)
    assignment.finish(db, draft=draft, base_version=base_version)
    return _page_again(request, draft)


@router.delete("/drafts/{draft_id}/completion")
@router.post("/drafts/{draft_id}/reopening")
def reopen(request: Request, draft_id: Id, db: SessionDep, actor: CurrentUser) -> Response:
    """Work on a finished draft again."""
    draft = draft_of(db, actor, draft_id, write=True)
    assignment.reopen(db, draft=draft)
    return _page_again(request, draft)


def _page_again(request: Request, draft: Draft) -> Response:
    """The page as a whole is another one now."""
    if is_htmx(request):
        return Response(headers={"HX-Redirect": f"/drafts/{draft.id}"})
    return to_page(draft)
