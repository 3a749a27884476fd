"""The image store: originals byte for byte under their SHA-256, renditions beside them."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.domain.formats import Reader
from app.images.decoding import pool
from app.images.inspection import KINDS, ImageFacts, check_bytes
from app.images.normalising import kept_beside
from app.refusals import NotFound

WIDTHS = (320, 960, 1920)
# Every list of images shows the smallest. The others are made when somebody looks at the image:
# making them takes twice the time of everything else that an import does with it.
_AT_ONCE = (320,)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in the store. is_new: it was not there before."""

    facts: ImageFacts
    is_new: bool


class ImageStore:
    """Files ab/<sha256>.<format> and ab/<sha256>-<width>.webp under a directory.

    Safe for any number of processes and threads: a file appears complete under its name or not at
    all, and equal names mean equal bytes. Images are decoded in processes of their own
    (app.images.decoding), never in this one.
    """

    def __init__(self, root: Path, *, max_megapixels: int = 64) -> None:
        self._root = root
        self._max_megapixels = max_megapixels

    def add(self, data: bytes) -> StoredImage:
        """Keep an image and make its smallest rendition; Invalid if it is none that may be kept.

        Of an animation its first frame is kept, as a PNG: people, models and trainers see the same.
        An image that is there was checked when it came and is not decoded again.
        """
        check_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        if any(self._original(sha256, kind).is_file() for kind in KINDS):
            found = pool.header(data, max_megapixels=self._max_megapixels)
            return StoredImage(ImageFacts(sha256, *found, len(data)), is_new=False)
        picture = pool.picture(data, widths=_AT_ONCE, max_megapixels=self._max_megapixels)
        stored = self._keep(picture)
        if picture.made:
            return replace(stored, facts=replace(stored.facts, given_sha256=sha256))
        return stored

    def add_page(self, deck: Path, index: int) -> StoredImage:
        """Keep a page of a PDF, from 0, as a PNG; Invalid if it cannot be drawn."""
        return self._keep(pool.page(deck, index, widths=_AT_ONCE))

    def original(self, sha256: str, kind: str) -> Path:
        """The file with the image's own bytes; NotFound if it is missing."""
        path = self._original(sha256, kind)
        if not path.is_file():
            raise NotFound("The file of this image is missing from the image store.")
        return path

    def rendition(self, sha256: str, kind: str, width: int) -> Path:
        """The WebP file for a width of WIDTHS, made when it is asked for first.

        NotFound for another width or when the original is missing too.
        """
        if width not in WIDTHS:
            raise NotFound("Images are available in widths of 320, 960 and 1920 pixels.")
        path = self._rendition(sha256, width)
        if not path.is_file():
            data = self.original(sha256, kind).read_bytes()
            self._keep_renditions(sha256, pool.renditions(data, (width,)))
        return path

    def remove(self, sha256: str, kind: str) -> None:
        """Take an image and its renditions out; nothing happens if it is not there."""
        original = self._original(sha256, kind)
        original.unlink(missing_ok=True)
        for reader in Reader:
            kept_beside(original, reader).unlink(missing_ok=True)
        for width in WIDTHS:
            self._rendition(sha256, width).unlink(missing_ok=True)

    def _keep(self, picture: pool.Picture) -> StoredImage:
        sha256 = hashlib.sha256(picture.data).hexdigest()
        facts = ImageFacts(sha256, picture.format, picture.width, picture.height, len(picture.data))
        path = self._original(sha256, picture.format)
        if path.is_file():
            return StoredImage(facts, is_new=False)
        # The original last: where it is, everything is that an import makes of it.
        self._keep_renditions(sha256, picture.renditions)
        _write(path, picture.data)
        return StoredImage(facts, is_new=True)

    def _keep_renditions(self, sha256: str, renditions: Mapping[int, bytes]) -> None:
        for width, file in renditions.items():
            _write(self._rendition(sha256, width), file)

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
