"""The REST API for trainers: pairs as JSON lines with a cursor, and the images they show."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from email.utils import format_datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from sqlalchemy.orm import Session

from app import access
from app.domain.filters import PairFilter
from app.domain.formats import Reader as ImageReader
from app.domain.prompts import Template
from app.domain.quality import MIN_SHARE, Check
from app.exports.formats import PAIR_FORMATS, Rendering, pair_lines_format
from app.exports.items import PAIRS
from app.exports.parameters import filter_of, filter_parameters, gate_of, gate_words
from app.exports.selection import select_pairs
from app.images.normalising import shown
from app.pairs import feed
from app.pairs.api_description import GATE_RESPONSES, IMAGE_RESPONSES, PAIR_RESPONSES
from app.pairs.ndjson import chunked, coding_for, packed, pair_lines
from app.refusals import Invalid
from app.security import Actor
from app.web.dependencies import SessionDep, token_user
from app.web.etags import matches
from app.web.hosts import base_url
from app.web.rights import claim

NDJSON = "application/x-ndjson"
_LARGEST = 2**63 - 1
# What stands in an address beside filters; token_user refuses what a route does not know.
_BESIDES = frozenset({"after", "limit", "format", "template", "allow", "min_share", "max_tokens"})

router = APIRouter(prefix="/api/v1", tags=["pairs"])

Reader = Annotated[Actor, Depends(token_user("pairs:read"))]
Format_ = Annotated[
    str, Query(alias="format", description=f"The rows' format: {', '.join(PAIR_FORMATS)}.")
]
Template_ = Annotated[Template, Query(description="Chat template of the model to train.")]
Allowed = Annotated[Sequence[str], Query(alias="allow", description=gate_words())]
MinShare = Annotated[
    float,
    Query(
        description="For the check `shorter`: minimum length of the chosen side, as a "
        "share of the rejected side."
    ),
]
MaxTokens = Annotated[
    int,
    Query(
        ge=0,
        description="For the check `tokens`: maximum tokens per row. 0: the model's "
        "context length.",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(description="ETag of an earlier response. The response is 304 if nothing has changed."),
]


@router.get(
    "/pairs",
    summary="Preference pairs of a project, as JSON lines",
    response_class=StreamingResponse,
    responses=PAIR_RESPONSES,
    openapi_extra={"parameters": filter_parameters(required="project")},
)
def pairs(
    request: Request,
    db: SessionDep,
    actor: Reader,
    after: Annotated[
        int,
        Query(ge=0, le=_LARGEST, description="Cursor. Only pairs after it are sent. 0: all pairs."),
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=100_000, description="Maximum number of pairs.")] = 1000,
    form: Format_ = "raw",
    template: Template_ = Template.QWEN2_5_VL,
    allowed: Allowed = (),
    min_share: MinShare = MIN_SHARE,
    max_tokens: MaxTokens = 0,
    accept_encoding: Annotated[str, Header(include_in_schema=False)] = "",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Stream pairs, one JSON object per line. Continue with `X-Next-Cursor`, or follow `Link: …;
    rel="next"` until it is missing. A response can hold fewer pairs than `limit` although more
    follow, because one request numbers at most 10,000 new pairs. Every line has its own `cursor`:
    after a broken download, continue from the last one.

    Pairs come in the order in which the feed first showed them, so a cursor never skips a pair. The
    feed no longer sends a pair that its annotator took back. A pair that returns gets a new place
    at the end and keeps its `pair_id`.

    The feed leaves out what the quality gate finds; `GET /pairs/gate` counts it. The feed does not
    apply the check `duplicate`, which needs all pairs at once.
    """
    wanted, projects = _wanted(request, db, actor)
    claim(request, project_ids=projects)
    chosen, base = pair_lines_format(form), base_url(request)
    gate = replace(
        gate_of(template, [*allowed, Check.DUPLICATE], min_share, max_tokens),
        reserved=chosen.reserved,
    )
    window = feed.read_on(db, wanted, projects, after=after, limit=limit)
    headers = {
        "ETag": f'W/"{_digest(base, window.digest, chosen.name, str(gate))}"',
        "X-Next-Cursor": str(window.until),
        "Vary": "Accept-Encoding, Authorization",
        "Cache-Control": "private, no-cache",
    }
    if window.newest_at is not None:
        headers["Last-Modified"] = format_datetime(window.newest_at, usegmt=True)
    if window.more:
        words = request.query_params.multi_items()
        words = [(name, text) for name, text in words if name not in ("after", "limit")]
        query = urlencode([*words, ("after", window.until), ("limit", limit)])
        headers["Link"] = f'<{base}/api/v1/pairs?{query}>; rel="next"'
    if matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    lines = pair_lines(
        request.app.state.sessions,
        window.ids,
        form=chosen,
        rendering=Rendering(template, image_url=_image_address(base, chosen.reader)),
        gate=gate,
    )
    coding = coding_for(accept_encoding)
    if coding:
        headers["Content-Encoding"] = coding
    return StreamingResponse(packed(chunked(lines), coding), headers=headers, media_type=NDJSON)


@router.get(
    "/pairs/gate",
    summary="Counts of the quality gate for a project's pairs",
    responses=GATE_RESPONSES,
    openapi_extra={"parameters": filter_parameters(required="project")},
)
def findings(
    request: Request,
    db: SessionDep,
    actor: Reader,
    form: Format_ = "raw",
    template: Template_ = Template.QWEN2_5_VL,
    allowed: Allowed = (),
    min_share: MinShare = MIN_SHARE,
    max_tokens: MaxTokens = 0,
) -> dict[str, object]:
    """Count the pairs that pass the quality gate and the pairs that each check leaves out, with the
    first hundred ids. The request reads every pair that matches the filters."""
    wanted, projects = _wanted(request, db, actor)
    gate = replace(
        gate_of(template, allowed, min_share, max_tokens),
        reserved=pair_lines_format(form).reserved,
    )
    selection = select_pairs(db, wanted, projects)
    found = PAIRS.look(lambda: nullcontext(db), selection, wanted, gate)
    return {
        "pairs": found.passed,
        "left_out": {
            check.value: {"pairs": count, "first_pair_ids": found.examples[check]}
            for check, count in sorted(found.found.items())
            if count
        },
    }


@router.head("/images/{sha256}", include_in_schema=False)
@router.get(
    "/images/{sha256}",
    summary="Original bytes of an image",
    response_class=FileResponse,
    responses=IMAGE_RESPONSES,
)
def image(
    request: Request,
    db: SessionDep,
    actor: Reader,
    sha256: Annotated[str, Path(description="SHA-256 of the image, as in a pair's `images`.")],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The bytes as they were imported. They never change, so you can cache them forever."""
    found = access.image_of(db, actor, sha256)
    kind = found.format.lower()
    headers = {
        "ETag": f'"{found.sha256}"',
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    if matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    path = request.app.state.image_store.original(found.sha256, kind)
    return FileResponse(path, headers=headers, media_type=f"image/{kind}")


@router.head("/images/{sha256}/normalised", include_in_schema=False)
@router.get(
    "/images/{sha256}/normalised",
    summary="An image as annotators see it, for trainers that take pixels as they are stored",
    response_class=FileResponse,
    responses=IMAGE_RESPONSES,
)
def normalised_image(
    request: Request,
    db: SessionDep,
    actor: Reader,
    sha256: Annotated[str, Path(description="The SHA-256 of the original.")],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Upright, opaque on white, 8 bits a channel: a PNG, or the original where it is all of that.
    The `ETag` is the SHA-256 of these bytes."""
    found = access.image_of(db, actor, sha256)
    image = shown(
        request.app.state.image_store, found.sha256, found.format.lower(), ImageReader.PILLOW
    )
    # Kept for a while and asked for again: a new version may draw it in other bytes.
    headers = {"ETag": f'"{image.sha256}"', "Cache-Control": "private, no-cache"}
    if matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return FileResponse(image.path, headers=headers, media_type=f"image/{image.format}")


def _image_address(base: str, reader: ImageReader) -> Callable[[str], str]:
    """What rows call an image: the original, or the one for trainers that turn nothing upright."""
    end = "/normalised" if reader is ImageReader.PILLOW else ""
    return lambda sha256: f"{base}/api/v1/images/{sha256}{end}"


def _wanted(request: Request, db: Session, actor: Actor) -> tuple[PairFilter, list[int]]:
    """The filter in the address, and the ids of the projects that it names. Raises NotFound for one
    that the actor may not see."""
    wanted = filter_of(request, besides=_BESIDES)
    if not wanted.project:
        raise Invalid("Name a project.", "project")
    return wanted, [access.project_named(db, actor, name).id for name in wanted.project]


def _digest(*parts: str) -> str:
    # The digest of a window covers its places; its lines also hold the address of this site.
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
