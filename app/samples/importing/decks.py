"""Reads a PDF deck: each page becomes an image, as wide as a slide on a screen."""

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pypdfium2

from app.domain.messages import Message
from app.images.inspection import MAX_ASPECT
from app.refusals import Invalid
from app.samples.importing.incoming import (
    MAX_IMAGES,
    ImageSource,
    IncomingSample,
    Where,
    id_error,
)

PAGE_WIDTH = 1600
# An A0 poster or a scroll of a page would cost more memory than any slide is worth.
MAX_PAGE_SIDE = 6400

# PDFium may not be entered by two threads at once, whatever documents they use.
_PDFIUM = threading.Lock()


@contextmanager
def opened_deck(
    path: Path, *, name: str, instruction: str, output: str
) -> Iterator[IncomingSample]:
    """The one sample of a PDF; its images can be read while the context is open.

    The deck's name without its ending is the id. The hash of the file stands for the images: other
    versions of PDFium draw other pixels of the same page. Raises Invalid for a file that is no PDF,
    damaged, protected by a password, or without pages or with too many.
    """
    data = path.read_bytes()
    with _PDFIUM:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            reason = (
                Message("it is protected by a password")
                if "assword" in str(error)
                else Message("it is damaged")
            )
            raise Invalid(Message("The PDF cannot be read: %(reason)s.", reason=reason)) from None
        pages = len(document)
    try:
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
        yield IncomingSample(
            where=Where(name),
            source_id=stem,
            title=stem,
            instruction=instruction,
            images=tuple(_page(document, name, index) for index in range(pages)),
            output=output,
            metadata={"pages": pages},
            fingerprint=hashlib.sha256(data).hexdigest(),
        )
    finally:
        with _PDFIUM:
            document.close()


def _page(document: pypdfium2.PdfDocument, name: str, index: int) -> ImageSource:
    field = f"page {index + 1}"
    return ImageSource(f"{index}", Where(name), field, lambda: _png(document, index))


def _png(document: pypdfium2.PdfDocument, index: int) -> bytes:
    with _PDFIUM:
        try:
            page = document[index]
            width, height = page.get_size()
            if min(width, height) <= 0 or max(width, height) > MAX_ASPECT * min(width, height):
                raise Invalid("The page is too narrow to be shown.")
            scale = min(PAGE_WIDTH / width, MAX_PAGE_SIDE / height)
            bitmap = page.render(scale=scale, fill_color=(255, 255, 255, 255))
            image = bitmap.to_pil().convert("RGB")
            bitmap.close()
            page.close()
        except pypdfium2.PdfiumError:
            raise Invalid("The page is damaged and cannot be drawn.") from None
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
