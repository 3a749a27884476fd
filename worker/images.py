"""The stored images, as an engine sends them."""

from sqlalchemy import select

from app.database.sessions import Sessions
from app.images.store import ImageStore
from app.models import Image
from app.refusals import NotFound
from worker.openai import ImageFile


class StoredImages:
    """Gives the image with a SHA-256, byte for byte as it is stored; called in a thread.

    Raises NotFound when there is none, or when its file is missing.
    """

    def __init__(self, sessions: Sessions, store: ImageStore) -> None:
        self._sessions = sessions
        self._store = store

    def __call__(self, sha256: str) -> ImageFile:
        with self._sessions() as db:
            kind = db.scalar(select(Image.format).where(Image.sha256 == sha256))
        if kind is None:
            raise NotFound("There is no such image.")
        path = self._store.original(sha256, kind)
        return ImageFile(path.read_bytes(), f"image/{kind}")
