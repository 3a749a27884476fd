"""Responses to an edit: the changed segment or the full list, plus progress and run bar.

Scripts get the rest from the event `draft-changed` (header HX-Trigger): the draft's new version,
the segment to go on from, and whether the text after it was removed.
"""

from collections.abc import Mapping

import orjson
from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.annotation.views import workspace
from app.annotation.views.values import SavedView, SegmentView, WorkspaceView
from app.models import Draft
from app.web.pages import is_htmx, render


def saved_answer(
    request: Request,
    db: Session,
    *,
    draft: Draft,
    segment_id: int,
    replaced_id: int,
    done: str,
    run_before: int | None,
) -> Response:
    """The response when one segment changed: that segment, or the list if later ids changed, too.

    replaced_id: the segment that was in this position before.
    run_before: the draft's regeneration before the change. A new one that continues from this
        segment
    displaces what followed it, and the page removes that itself.
    """
    if not is_htmx(request):
        return to_page(draft, segment_id)
    view = workspace.saved(db, draft=draft, segment_id=segment_id)
    segment = view.segment
    cut = segment is not None and starts_at(view, segment, run_before)
    if segment is None or (segment_id != replaced_id and not cut):
        return listed_answer(request, db, draft=draft, segment_id=segment_id, done=done, go="next")
    context = {"draft_id": draft.id, "segment": segment, "done": done, **_around(view)}
    changed = {
        "version": view.version,
        "segment": segment.id,
        "cut": cut,
        "go": "stay" if cut else "next",
    }
    return render(request, "annotation/_saved.html", context, headers=_trigger(changed))


def listed_answer(
    request: Request,
    db: Session,
    *,
    draft: Draft,
    segment_id: int | None,
    done: str,
    go: str = "stay",
) -> Response:
    """The response when the whole text changed. go: "stay" on the segment, or "next" open one after
    it.
    """
    if not is_htmx(request):
        return to_page(draft, segment_id)
    view = workspace.workspace(db, draft=draft)
    context = {
        "draft_id": draft.id,
        "segments": view.segments,
        "language": view.language,
        "done": done,
        **_around(view),
    }
    changed = {
        "version": view.version,
        "segment": segment_id,
        "listed": True,
        "go": go,
    }
    # The form of a segment targets that segment; the list replaces all of them.
    headers = {"HX-Retarget": "#segs", "HX-Reswap": "innerHTML", **_trigger(changed)}
    return render(request, "annotation/_listed.html", context, headers=headers)


def run_answer(request: Request, db: Session, *, draft: Draft, read_only: bool = False) -> Response:
    """The run bar and the counts beside it, after Stop and as segments arrive."""
    view = workspace.saved(db, draft=draft, segment_id=None)
    context = {"draft_id": draft.id, "done": "", "read_only": read_only, **_around(view)}
    return render(request, "annotation/_run_answer.html", context)


def to_page(draft: Draft, segment_id: int | None = None) -> Response:
    """Redirect a form that was sent without script to the workspace."""
    place = f"#s{segment_id}" if segment_id else ""
    return RedirectResponse(f"/drafts/{draft.id}{place}", 303)


def starts_at(view: SavedView, segment: SegmentView, run_before: int | None) -> bool:
    """Whether a new run continues from the segment, so that what followed it is displaced."""
    run = view.run
    return run is not None and run.id != run_before and run.after_number == segment.number


def _around(view: SavedView | WorkspaceView) -> dict[str, object]:
    return {
        "run": view.run,
        "superseded": view.superseded,
        "progress": view.progress,
        "open_end": view.open_end,
        "version": view.version,
        "can_undo": view.can_undo,
        "rested": view.rested,
    }


def _trigger(changed: Mapping[str, object]) -> dict[str, str]:
    return {"HX-Trigger": orjson.dumps({"draft-changed": changed}).decode()}
