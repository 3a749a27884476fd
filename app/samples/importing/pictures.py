"""Takes the images of an import into the store, each distinct file once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.images.decoding import pool
from app.images.decoding.pool import Costly
from app.images.inspection import ImageFacts
from app.images.store import ImageStore, StoredImage
from app.models import Image
from app.refusals import Invalid
from app.samples.importing.faults import Faults, ImportRefused
from app.samples.importing.incoming import DeckPage, ImageSource, RowError

# Beside those that wait for a decoder, one reads the next image and one writes the last.
_MORE_THREADS = 2
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
        self._costly: ImageSource | None = None
        db.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))

    def take(self, sources: Iterable[ImageSource]) -> None:
        """Read, check and store the images that are not here yet.

        Raises ImportRefused at the first image that takes too much memory or time: a file with
        thousands of them would keep the machine busy for hours.
        """
        fresh = {
            source.key: source
            for source in sources
            if source.key not in self._stored and source.key not in self._refused
        }
        if not fresh:
            return
        with ThreadPoolExecutor(pool.size() + _MORE_THREADS) as threads:
            for key, result in threads.map(self._add, fresh.values()):
                if isinstance(result, str):
                    self._refused[key] = result
                elif result is not None:
                    self._stored[key] = result
                    self._taken()
        if (source := self._costly) is not None:
            error = RowError(source.where, source.field, self._refused[source.key])
            raise ImportRefused(Faults([error]))

    def facts(self, source: ImageSource) -> ImageFacts | RowError:
        """What the image is, after take, or why it was refused."""
        if message := self._refused.get(source.key):
            return RowError(source.where, source.field, message)
        return self._stored[source.key].facts

    @property
    def count(self) -> int:
        """How many different images were taken in."""
        return len({stored.facts.sha256 for stored in self._stored.values()})

    @property
    def animations(self) -> int:
        """How many different images were animations, of which the first frame was taken."""
        given = (stored.facts.given_sha256 for stored in self._stored.values())
        return len({sha256 for sha256 in given if sha256 is not None})

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

    def _add(self, source: ImageSource) -> tuple[str, StoredImage | str | None]:
        """What became of an image; None if it was not looked at any more."""
        if self._costly is not None:
            return source.key, None
        try:
            content = source.read()
            if isinstance(content, DeckPage):
                return source.key, self._store.add_page(content.deck, content.index)
            return source.key, self._store.add(content)
        except Costly as error:
            self._costly = source
            return source.key, error.message
        except Invalid as error:
            return source.key, error.message
