"""Takes the images of an import into the store, each distinct file once."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.images.inspection import ImageFacts
from app.images.store import ImageStore, StoredImage
from app.models import Image
from app.refusals import Invalid
from app.samples.importing.incoming import ImageSource, RowError

# Pillow lets other threads run while it decodes and encodes.
_THREADS = min(4, os.cpu_count() or 1)
# An import holds this lock, shared, from its first image to its end; whoever takes images out of
# the store needs it alone. So no image goes that an unfinished import has already seen there.
_LOCK = func.hashtextextended("iterdpo image store", 0)


class Pictures:
    """The images that one import has taken in, by the key of their source."""

    def __init__(self, db: Session, store: ImageStore, *, taken: Callable[[], None]) -> None:
        self._db = db
        self._store = store
        self._taken = taken
        self._stored: dict[str, StoredImage] = {}
        self._refused: dict[str, str] = {}
        db.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))

    def take(self, sources: Iterable[ImageSource]) -> None:
        """Read, check and store the images that are not here yet."""
        fresh = {
            source.key: source
            for source in sources
            if source.key not in self._stored and source.key not in self._refused
        }
        if not fresh:
            return
        with ThreadPoolExecutor(_THREADS) as pool:
            for key, result in pool.map(self._add, fresh.values()):
                if isinstance(result, str):
                    self._refused[key] = result
                else:
                    self._stored[key] = result
                    self._taken()

    def facts(self, source: ImageSource) -> ImageFacts | RowError:
        """What the image is, after take, or why it was refused."""
        if message := self._refused.get(source.key):
            return RowError(source.where, source.field, message)
        return self._stored[source.key].facts

    @property
    def count(self) -> int:
        """How many different images were taken in."""
        return len({stored.facts.sha256 for stored in self._stored.values()})

    def discard(self) -> None:
        """Take out of the store what this import put there and no sample shows.

        Left lying when another import is running: an image without a row harms nobody.
        """
        new = {
            stored.facts.sha256: stored.facts for stored in self._stored.values() if stored.is_new
        }
        if not new:
            return
        try:
            if not self._db.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
                return
            known = set(self._db.scalars(select(Image.sha256).where(Image.sha256.in_(new))))
        except SQLAlchemyError:
            return  # The connection is gone, and what is known with it.
        for facts in new.values():
            if facts.sha256 not in known:
                self._store.remove(facts.sha256, facts.format)

    def _add(self, source: ImageSource) -> tuple[str, StoredImage | str]:
        try:
            return source.key, self._store.add(source.read())
        except Invalid as error:
            return source.key, error.message
