"""Draws the pages of a PDF. Runs in a decoder only."""

from pathlib import Path

import pypdfium2
from PIL import Image as Pillow

from app.domain.messages import Message
from app.images.inspection import MAX_ASPECT
from app.refusals import Invalid

# An A0 poster or a scroll of a page would cost more memory than any slide is worth.
MAX_PAGE_SIDE = 6400


class Deck:
    """The PDF that was asked for last, kept open: its pages are asked for one by one."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._document: pypdfium2.PdfDocument | None = None

    def count(self, path: str) -> int:
        """How many pages a PDF has. Raises Invalid for a file that is none, is damaged or is
        protected by a password."""
        return len(self._opened(path))

    def page(self, path: str, index: int, width_px: int) -> Pillow.Image:
        """A page, so wide unless it is far too high; Invalid if it cannot be drawn."""
        document = self._opened(path)
        try:
            page = document[index]
            width, height = page.get_size()
            if min(width, height) <= 0 or max(width, height) > MAX_ASPECT * min(width, height):
                raise Invalid("The page is too narrow to be shown.")
            scale = min(width_px / width, MAX_PAGE_SIDE / height)
            bitmap = page.render(scale=scale, fill_color=(255, 255, 255, 255))
            image: Pillow.Image = bitmap.to_pil().convert("RGB")
            bitmap.close()
            page.close()
        except pypdfium2.PdfiumError:
            raise Invalid("The page is damaged and cannot be drawn.") from None
        return image

    def close(self) -> None:
        """Close what is open."""
        if self._document is not None:
            self._document.close()
        self._document, self._key = None, ()

    def _opened(self, path: str) -> pypdfium2.PdfDocument:
        status = Path(path).stat()
        key = path, status.st_ino, status.st_size, status.st_mtime_ns
        if self._document is None or key != self._key:
            self.close()
            self._document, self._key = _document(path), key
        return self._document


def _document(path: str) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        reason = (
            Message("it is protected by a password")
            if "assword" in str(error)
            else Message("it is damaged")
        )
        raise Invalid(Message("The PDF cannot be read: %(reason)s.", reason=reason)) from None
