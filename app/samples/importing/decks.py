"""Reads a PDF deck: each page becomes an image, as wide as a slide on a screen."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from app.domain.messages import Message
from app.images.decoding.pool import page_count
from app.refusals import Invalid
from app.samples.importing.incoming import (
    MAX_IMAGES,
    DeckPage,
    ImageSource,
    IncomingSample,
    Where,
    id_error,
)


@contextmanager
def opened_deck(
    path: Path, *, name: str, instruction: str, output: str
) -> Iterator[IncomingSample]:
    """The one sample of a PDF; its images can be drawn while the context is open.

    The deck's name without its ending is the id. The hash of the file stands for the images: other
    versions of PDFium draw other pixels of the same page. Raises Invalid for a file that is no PDF,
    damaged, protected by a password, or without pages or with too many.
    """
    pages = page_count(path)
    if not 0 < pages <= MAX_IMAGES:
        raise Invalid(
            Message(
                "The PDF has %(pages)s pages; 1 to %(most)s can be imported.",
                pages=pages,
                most=MAX_IMAGES,
            )
        )
    stem = Path(name).stem
    if message := id_error(stem):
        raise Invalid(message)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    yield IncomingSample(
        where=Where(name),
        source_id=stem,
        title=stem,
        instruction=instruction,
        images=tuple(_page(path, name, index) for index in range(pages)),
        output=output,
        metadata={"pages": pages},
        fingerprint=digest,
    )


def _page(path: Path, name: str, index: int) -> ImageSource:
    return ImageSource(f"{index}", Where(name), f"page {index + 1}", partial(DeckPage, path, index))
