"""Normalised images, for readers that take pixels as a file stores them.

People, and trainers that use datasets and transformers, see an image upright and on white. A reader
that opens it with Pillow and converts it to RGB, as LLaMA-Factory and ms-swift do, sees a
photograph on its side, a transparent slide black, and a 16-bit channel white.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.domain.formats import Reader
from app.images.decoding import pool


@dataclass(frozen=True, slots=True)
class Shown:
    """An image as a reader gets it. sha256: of its own bytes. format: png, jpeg, webp, gif, bmp."""

    path: Path
    sha256: str
    format: str


class Originals(Protocol):
    """Where the bytes of the images are."""

    def original(self, sha256: str, kind: str) -> Path:
        """The file of an image; kind: its format. Raises NotFound."""
        ...


def normalised(data: bytes, reader: Reader) -> bytes | None:
    """The image as a PNG file: upright, opaque on white, 8 bits; of an animation the first frame.

    None when the reader sees exactly that in the bytes as they are, which their header tells. It is
    looked at and drawn in a decoder. Raises Invalid for a damaged file.
    """
    if reader is Reader.BYTES:
        return None
    return pool.normalised(data, turns=reader is Reader.DATASETS)


def shown(store: Originals, sha256: str, kind: str, reader: Reader) -> Shown:
    """The file of an image for that reader: the original, or a normalised one, which is made once
    and kept beside it. Raises NotFound for an image that is missing, Invalid for a damaged one."""
    original = store.original(sha256, kind)
    if reader is Reader.BYTES:
        return Shown(original, sha256, kind)
    # Its name says for whom it was made: another reader may see the original right.
    kept = kept_beside(original, reader)
    if kept.is_file():
        data = kept.read_bytes()
    else:
        made = normalised(original.read_bytes(), reader)
        if made is None:
            return Shown(original, sha256, kind)
        _write(kept, data := made)
    return Shown(kept, hashlib.sha256(data).hexdigest(), "png")


def kept_beside(original: Path, reader: Reader) -> Path:
    """Where the normalised image of an original is kept."""
    return original.with_name(f"{original.stem}-for-{reader.value}.png")


def _write(path: Path, data: bytes) -> None:
    """Write a file that is complete under its name, or absent; equal names mean equal bytes."""
    handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
