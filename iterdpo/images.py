"""Images on disk under their SHA-256: fetched once, whole or not at all, checked at every use."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 2**20


class ImageCache:
    """A directory of images. Any number of processes may use it at once: a file appears by
    renaming, and whoever renames last replaces it by the same bytes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, sha256: str) -> Path:
        """Where the image is or would be. Raises ValueError for what is no SHA-256."""
        if not SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no SHA-256.")
        return self.directory / sha256[:2] / sha256

    def get(self, sha256: str, fetch: Callable[[str], Iterable[bytes]]) -> Path:
        """The file of the image; fetched unless a good one is there.

        fetch: gives the bytes for a SHA-256. Raises DamagedImage when they are others.
        """
        path = self.path(sha256)
        if path.is_file() and digest_of(path) == sha256:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{sha256[:8]}.", dir=path.parent)
        try:
            digest = hashlib.sha256()
            with os.fdopen(handle, "wb") as file:
                for block in fetch(sha256):
                    digest.update(block)
                    file.write(block)
            if digest.hexdigest() != sha256:
                raise DamagedImage(f"The image {sha256} arrived damaged.")
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return path


class DamagedImage(Exception):  # noqa: N818 - it says what arrived
    """Bytes whose SHA-256 is not the one that was asked for."""


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
