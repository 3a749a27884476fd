"""Images of samples for browsers: originals and renditions, for those who may see a sample."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse, Response

from app.access import image_of
from app.images.store import ImageStore
from app.web.dependencies import CurrentUser, SessionDep

router = APIRouter(prefix="/images")

Hash = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
# The bytes behind an address never change; private, because not everybody may see them.
_KEEP = "private, max-age=31536000, immutable"


@router.get("/{sha256}/original")
def original(request: Request, sha256: Hash, db: SessionDep, actor: CurrentUser) -> Response:
    """The bytes that the model saw."""
    image = image_of(db, actor, sha256)
    if _is_known(request, sha256):
        return _not_modified(sha256)
    path = _store(request).original(image.sha256, image.format)
    return FileResponse(path, media_type=f"image/{image.format}", headers=_headers(sha256))


@router.get("/{sha256}/{width}.webp")
def rendition(
    request: Request, sha256: Hash, width: int, db: SessionDep, actor: CurrentUser
) -> Response:
    """The image at a width, as WebP."""
    image = image_of(db, actor, sha256)
    name = f"{sha256}-{width}"
    if _is_known(request, name):
        return _not_modified(name)
    path = _store(request).rendition(image.sha256, image.format, width)
    return FileResponse(path, media_type="image/webp", headers=_headers(name))


def _store(request: Request) -> ImageStore:
    store: ImageStore = request.app.state.image_store
    return store


def _headers(name: str) -> dict[str, str]:
    return {
        "ETag": f'"{name}"',
        "Cache-Control": _KEEP,
        "X-Content-Type-Options": "nosniff",
        # Should a browser ever take the bytes for a document: it may load and run nothing.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": "inline",
    }


def _is_known(request: Request, name: str) -> bool:
    asked = request.headers.get("if-none-match", "")
    return any(tag.strip().removeprefix("W/") == f'"{name}"' for tag in asked.split(","))


def _not_modified(name: str) -> Response:
    return Response(status_code=304, headers=_headers(name))
