"""The stored images, as an engine sends them."""

from sqlalchemy import select

from app.database.sessions import Sessions
from app.domain.formats import Reader
from app.images.normalising import shown
from app.images.store import ImageStore
from app.models import Image
from app.refusals import NotFound
from worker.openai import ImageFile


class StoredImages:
    """Gives the image with a SHA-256 as the annotator sees it; called in a thread.

    A model server may pass over what a file says of itself (that it lies on its side, what is
    transparent, 16 bits a channel). Where that would change the pixels, the image goes as a PNG
    without any of it, made once, so that a server's cache knows it again; else as it is stored.

    Raises NotFound when there is none, or when its file is missing, Invalid for a damaged one.
    """

    def __init__(self, sessions: Sessions, store: ImageStore) -> None:
        self._sessions = sessions
        self._store = store

    def __call__(self, sha256: str) -> ImageFile:
        with self._sessions() as db:
            kind = db.scalar(select(Image.format).where(Image.sha256 == sha256))
        if kind is None:
            raise NotFound("There is no such image.")
        image = shown(self._store, sha256, kind, Reader.PILLOW)
        return ImageFile(image.path.read_bytes(), f"image/{image.format}")
