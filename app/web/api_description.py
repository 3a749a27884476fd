"""The API's own description: OpenAPI for programs, a page of ours for people.

No Swagger UI: it comes from another host or as 1.5 MB of script, and both break the CSP.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.security import SCOPES
from app.web.dependencies import OptionalUser
from app.web.hosts import base_url
from app.web.pages import render

router = APIRouter(prefix="/api/v1", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input of an operation. place: path, query or header. kind: its type in words."""

    name: str
    place: str
    kind: str
    required: bool
    default: str
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """What can be done at a path. responses: (status, description) each.

    description: paragraphs; of the parts of each, those with an odd index are code.
    """

    method: str
    path: str
    summary: str
    description: tuple[tuple[str, ...], ...]
    parameters: tuple[Parameter, ...]
    responses: tuple[tuple[str, str], ...]


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    """The OpenAPI 3.1 description of everything under /api/v1."""
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")


@router.get("/docs")
def docs(request: Request, _actor: OptionalUser) -> Response:
    """The same for reading."""
    context = {
        "operations": list(_operations(request.app.openapi())),
        "scopes": SCOPES,
        "base": base_url(request),
    }
    return render(request, "api/docs.html", context)


def _operations(schema: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in schema.get("paths", {}).items():
        for method, operation in methods.items():
            yield Operation(
                method=method.upper(),
                path=path,
                summary=operation.get("summary", ""),
                description=tuple(
                    tuple(paragraph.split("`"))
                    for paragraph in operation.get("description", "").split("\n\n")
                    if paragraph
                ),
                parameters=tuple(
                    Parameter(
                        name=each["name"],
                        place=each["in"],
                        kind=_kind(each.get("schema", {})),
                        required=each.get("required", False),
                        default=_default(each.get("schema", {})),
                        description=each.get("description", ""),
                    )
                    for each in operation.get("parameters", ())
                ),
                responses=tuple(
                    (status, response.get("description", ""))
                    for status, response in operation.get("responses", {}).items()
                ),
            )


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        kinds = [_kind(each) for each in schema["anyOf"]]
        return " or ".join(kind for kind in kinds if kind != "null") or "any"
    if "enum" in schema:
        return " or ".join(str(value) for value in schema["enum"])
    kind = str(schema.get("format") or schema.get("type") or "any")
    limits = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "from"), ("maximum", "to"))
        if key in schema
    ]
    return " ".join([kind, *limits])


def _default(schema: dict[str, Any]) -> str:
    return "" if schema.get("default") is None else str(schema["default"])
