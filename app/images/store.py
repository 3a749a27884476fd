"""The image store: originals byte for byte under their SHA-256, renditions beside them."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from app.images.inspection import ImageFacts, inspect
from app.images.renditions import WIDTHS, renditions
from app.refusals import NotFound


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in the store. is_new: it was not there before."""

    facts: ImageFacts
    is_new: bool


class ImageStore:
    """Files ab/<sha256>.<format> and ab/<sha256>-<width>.webp under a directory.

    Safe for any number of processes and threads: a file appears complete under its name or not at
    all, and equal names mean equal bytes.
    """

    def __init__(self, root: Path, *, max_megapixels: int = 64) -> None:
        self._root = root
        self._max_megapixels = max_megapixels

    def add(self, data: bytes) -> StoredImage:
        """Keep an image and make its renditions; Invalid if it is none that may be kept.

        What is there already was checked when it came and is not decoded again.
        """
        facts = inspect(data, max_megapixels=self._max_megapixels)
        path = self._original(facts.sha256, facts.format)
        if path.is_file():
            return StoredImage(facts, is_new=False)
        # Renditions first: they need every pixel, so a damaged image leaves nothing behind.
        for width, file in renditions(data).items():
            _write(self._rendition(facts.sha256, width), file)
        _write(path, data)
        return StoredImage(facts, is_new=True)

    def original(self, sha256: str, kind: str) -> Path:
        """The file with the image's own bytes; NotFound if it is missing."""
        path = self._original(sha256, kind)
        if not path.is_file():
            raise NotFound("The file of this image is missing from the image store.")
        return path

    def rendition(self, sha256: str, kind: str, width: int) -> Path:
        """The WebP file for a width of WIDTHS, made again if it is missing.

        NotFound for another width or when the original is missing too.
        """
        if width not in WIDTHS:
            raise NotFound("Images come 320, 960 and 1920 pixels wide.")
        path = self._rendition(sha256, width)
        if not path.is_file():
            data = self.original(sha256, kind).read_bytes()
            for each, file in renditions(data).items():
                _write(self._rendition(sha256, each), file)
        return path

    def remove(self, sha256: str, kind: str) -> None:
        """Take an image and its renditions out; nothing happens if it is not there."""
        self._original(sha256, kind).unlink(missing_ok=True)
        for width in WIDTHS:
            self._rendition(sha256, width).unlink(missing_ok=True)

    def _original(self, sha256: str, kind: str) -> Path:
        return self._root / sha256[:2] / f"{sha256}.{kind}"

    def _rendition(self, sha256: str, width: int) -> Path:
        return self._root / sha256[:2] / f"{sha256}-{width}.webp"


def _write(path: Path, data: bytes) -> None:
    """Write a file that is complete under its name, or absent, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
