"""Pages on which admins and trainers look at pairs and take them home."""

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from pydantic import Field
from sqlalchemy.orm import Session

from app import access, audit
from app.domain.filters import PairFilter
from app.domain.prompts import Template
from app.domain.quality import CHECKS, MIN_SHARE, NEVER_ALLOWED, Check
from app.exports.archive import Handover, ZipSink, zipped
from app.exports.export import Order, exporting
from app.exports.filter_choices import choices
from app.exports.formats import FORMATS, Rendering, format_named
from app.exports.items import PAIRS
from app.exports.parameters import filter_of, gate_of, shown
from app.exports.selection import count_pairs, select_pairs
from app.exports.snapshot_store import SnapshotStore
from app.models import Project, Role
from app.pairs import provenance, service, views
from app.refusals import Forbidden
from app.security import Actor
from app.web.dependencies import AdminUser, CurrentUser, Id, SessionDep
from app.web.hosts import base_url
from app.web.pages import render
from app.web.rights import claim

router = APIRouter()

# What stands in an address beside filters.
_BESIDES = frozenset(
    {"before", "id", "found", "format", "template", "allow", "min_share", "max_tokens"}
)
Template_ = Annotated[Template, Query()]
PairId = Annotated[int, Field(ge=1, le=2**63 - 1)]
Allowed = Annotated[Sequence[str], Query(alias="allow")]


@router.get("/projects/{project_id}/pairs")
def pair_list(
    request: Request,
    db: SessionDep,
    actor: CurrentUser,
    project_id: Id,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    ids: Annotated[Sequence[PairId], Query(alias="id", max_length=100)] = (),
) -> Response:
    """The newest pairs of a project that the filters in the address ask for; or those with these
    ids, also those that were taken back."""
    project = _project(db, actor, project_id)
    wanted = _wanted(request, project)
    if ids:
        named = list(dict.fromkeys(ids))
        page = views.PairPage(views.some_pairs(db, project_id=project.id, ids=named), None)
        count = len(page.pairs)
    else:
        page = views.newest_pairs(db, wanted, project_id=project.id, before=before)
        count = count_pairs(db, wanted, [project.id], at_most=views.COUNTED)
    context = _about(request, db, project, wanted) | {
        "page": page,
        "count": count,
        "counted": views.COUNTED,
        "named": bool(ids),
        "first": before is None,
        "base": base_url(request),
    }
    return render(request, "pairs/list.html", context)


@router.get("/projects/{project_id}/pairs/count")
def pair_count(request: Request, db: SessionDep, actor: CurrentUser, project_id: Id) -> Response:
    """How many pairs the filters in the address ask for: a list counts only so far by itself."""
    project = _project(db, actor, project_id)
    context = {"count": count_pairs(db, _wanted(request, project), [project.id])}
    return render(request, "pairs/_count.html", context)


@router.get("/projects/{project_id}/pairs/gate")
def gate(
    request: Request,
    db: SessionDep,
    actor: CurrentUser,
    project_id: Id,
    found: Annotated[Check | None, Query()] = None,
    form: Annotated[str, Query(alias="format")] = "trl",
    template: Template_ = Template.QWEN2_5_VL,
    allowed: Allowed = (),
    min_share: float = MIN_SHARE,
    max_tokens: int = 0,
) -> Response:
    """What the quality gate finds in the pairs that the filters ask for, and the way to take them
    home. found: a check, whose pairs are shown. form: the format that they are to leave in."""
    project = _project(db, actor, project_id)
    wanted = _wanted(request, project)
    chosen = replace(
        gate_of(template, allowed, min_share, max_tokens), reserved=format_named(form).reserved
    )
    selection = select_pairs(db, wanted, [project.id])
    inspection = PAIRS.look(lambda: nullcontext(db), selection, wanted, chosen)
    shown = inspection.examples.get(found, [])[: views.PAGE] if found else []
    context = _about(request, db, project, wanted) | {
        "gate": chosen,
        "asked": len(selection),
        "passed": inspection.passed,
        "checks": [
            (check, *CHECKS[check], inspection.found.get(check, 0), check not in NEVER_ALLOWED)
            for check in Check
        ],
        "found": found,
        "pairs": views.some_pairs(db, project_id=project.id, ids=list(map(int, shown))),
        "formats": list(FORMATS.values()),
        "form_name": form,
        "templates": list(Template),
        "again": _again(request, "found"),
    }
    return render(request, "pairs/gate.html", context)


@router.get("/projects/{project_id}/pairs/{pair_id}")
def pair(
    request: Request, db: SessionDep, actor: CurrentUser, project_id: Id, pair_id: Id
) -> Response:
    """One pair, whole, with all that is known of it. The filters in the address say which pairs
    stand beside it."""
    project = _project(db, actor, project_id)
    wanted = _wanted(request, project)
    view = views.one_pair(db, project_id=project.id, pair_id=pair_id)
    store = SnapshotStore(request.app.state.settings.snapshots)
    context = {
        "project": project,
        "pair": view,
        "checks": CHECKS,
        "story": provenance.story(db, pair_id=pair_id),
        "beside": provenance.neighbours(db, wanted, project_id=project.id, pair_id=pair_id),
        "query": urlencode(replace(wanted, project=()).words()),
        "holders": provenance.holders(db, store, project_id=project.id, pair_id=pair_id),
        "rows": provenance.literal_rows(db, pair_id=pair_id, template=Template.QWEN2_5_VL),
    }
    return render(request, "pairs/pair.html", context)


@router.post("/projects/{project_id}/pairs/{pair_id}/retraction")
def retract(
    db: SessionDep,
    actor: AdminUser,
    project_id: Id,
    pair_id: Id,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Take a pair back, with a reason."""
    project = access.project_of(db, actor, project_id)
    service.retract(db, project_id=project.id, pair_id=pair_id, reason=reason, actor_id=actor.id)
    return RedirectResponse(f"/projects/{project_id}/pairs/{pair_id}", 303)


@router.get("/projects/{project_id}/export")
def export(
    request: Request,
    db: SessionDep,
    actor: AdminUser,
    project_id: Id,
    form: Annotated[str, Query(alias="format")] = "trl",
    template: Template_ = Template.QWEN2_5_VL,
    allowed: Allowed = (),
    min_share: float = MIN_SHARE,
    max_tokens: int = 0,
) -> Response:
    """The pairs that the filters ask for, in a format for a trainer, as a zip file."""
    project = access.project_of(db, actor, project_id)
    claim(request, project_ids=[project.id])
    chosen = format_named(form)
    order = Order(
        _wanted(request, project),
        chosen,
        Rendering(template, folder=chosen.name, project=project.name),
        gate_of(template, allowed, min_share, max_tokens),
    )
    selection = order.kind.select(db, order.wanted, [project.id])
    sink, state = ZipSink(chosen.name), request.app.state
    sessions = Handover(db, state.sessions)
    steps = exporting(sessions, selection, order, sink=sink, store=state.image_store)
    chunks = zipped(sink, steps)
    # The first bytes are made here: an export of nothing is an answer that says so.
    first = next(chunks)
    sessions.leave()
    audit.record(
        db,
        actor.id,
        "exported",
        f"project:{project.id}",
        **{order.kind.held_in: len(selection)},
        format=chosen.name,
    )
    name = f"{project.name}-{chosen.name}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(
        itertools.chain([first], chunks), headers=headers, media_type="application/zip"
    )


def _about(
    request: Request, db: Session, project: Project, wanted: PairFilter
) -> dict[str, object]:
    """What the pages that filter have in common."""
    own = replace(wanted, project=())
    return {
        "project": project,
        "typed": shown(own.words()),
        "errors": {},
        "words": own.words(),
        "query": urlencode(own.words()),
        "choices": choices(db, project_id=project.id),
    }


def _wanted(request: Request, project: Project) -> PairFilter:
    """The filter in the address, in this project."""
    return replace(filter_of(request, besides=_BESIDES | {"project"}), project=(project.name,))


def _again(request: Request, *without: str) -> str:
    words = request.query_params.multi_items()
    return urlencode([(name, text) for name, text in words if text and name not in without])


def _project(db: Session, actor: Actor, project_id: int) -> Project:
    project = access.project_of(db, actor, project_id)
    if actor.role is Role.ANNOTATOR:
        raise Forbidden(
            "Only admins and trainers can see pairs, because pairs show other annotators' work."
        )
    return project
