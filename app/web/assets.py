"""The static files: one hash for the whole tree, kept in memory, compressed once at start."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import brotli
from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
# A file without a known suffix is a licence text.
_PLAIN = "text/plain; charset=utf-8"
_COMPRESSED_ALREADY = frozenset({".png", ".webp", ".woff2", ".ico"})
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    media_type: str
    body: bytes
    gzip: bytes | None
    brotli: bytes | None


class Assets:
    """Serves /static/HASH/PATH. Every address changes when any file does, so caches never lie.

    reload: for developing; files are read at each request and never cached by the browser.
    """

    def __init__(self, root: Path, *, reload: bool = False) -> None:
        self.root = root
        self.reload = reload
        contents = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }
        self.version = _version(contents)
        self._files = {
            name: _file(name, body, compress=not reload) for name, body in contents.items()
        }

    def url(self, path: str) -> str:
        """The address of a static file. Raises LookupError when there is no such file."""
        if path not in self._files and not (self.reload and (self.root / path).is_file()):
            raise LookupError(f"There is no static file {path}")
        return f"/static/{self.version}/{path}"

    async def serve(self, request: Request) -> Response:
        """The file, in the encoding the browser takes; 404 for one that is not there."""
        name = request.path_params["path"]
        file = self._read(name) if self.reload else self._files.get(name)
        if file is None:
            return Response("Not found", 404, media_type=_PLAIN)
        # An old page may ask for the old hash: it gets today's file, which must not be kept.
        fresh = request.path_params["version"] == self.version and not self.reload
        headers = {
            "Cache-Control": _FOREVER if fresh else "no-store",
            "Content-Type": file.media_type,
        }
        body = file.body
        if file.gzip is not None:
            headers["Vary"] = "Accept-Encoding"
            accepted = request.headers.get("accept-encoding", "")
            if file.brotli is not None and "br" in accepted:
                headers["Content-Encoding"], body = "br", file.brotli
            elif "gzip" in accepted:
                headers["Content-Encoding"], body = "gzip", file.gzip
        return Response(body, headers=headers)

    def _read(self, name: str) -> _File | None:
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root.resolve()) or not path.is_file():
            return None
        return _file(name, path.read_bytes(), compress=False)


def _version(contents: dict[str, bytes]) -> str:
    tree = hashlib.sha256()
    for name, body in contents.items():
        tree.update(name.encode() + b"\0" + hashlib.sha256(body).digest())
    return tree.hexdigest()[:12]


def _file(name: str, body: bytes, *, compress: bool) -> _File:
    suffix = Path(name).suffix
    media_type = _TYPES.get(suffix, _PLAIN)
    if not compress or suffix in _COMPRESSED_ALREADY:
        return _File(media_type, body, None, None)
    return _File(
        media_type,
        body,
        gzip.compress(body, 9, mtime=0),
        brotli.compress(body, quality=11),
    )
