"""The client for trainers: pairs as they come, or as a dataset with their images.

    from trainer.client import iter_pairs, load_pairs

    for pair in iter_pairs("https://studio.example", token, "lectures", on_policy=True):
        ...
    dataset = load_pairs("https://studio.example", token, "lectures")

Filters are the query parameters of GET /api/v1/pairs, by their names. A request that fails in a way
that may pass is tried again, and a download that breaks off goes on behind its last whole line.
"""

import json
import os
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from trainer.images import DamagedImage, ImageCache
from trainer.refusals import StudioRefusal
from trainer.retrying import PASSING, Passing, Patience, asked_wait_s

if TYPE_CHECKING:
    import datasets

PAGE = 10_000
ATTEMPTS = 8
# Images at once.
DOWNLOADS = 8
TIMEOUT_S = 60.0
# A number before the last brace belongs to the object itself: a text would end in a quote there.
_CURSOR = re.compile(rb'"cursor": ?([0-9]+)}\n\Z')
# What ends a connection early: no bytes, too few bytes, or bytes that do not unpack.
_BROKEN = (httpx.TransportError, httpx.DecodingError)

Filter = str | int | float | bool | date | datetime | list[str] | None


class Studio:
    """A running IterDPO Studio. url: without a path; token: an API token.

    The token is sent there and nowhere else: addresses that answers name are not followed.
    transport and sleep are for tests. Raises StudioRefusal.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        attempts: int = ATTEMPTS,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._attempts = attempts
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {token}", "User-Agent": "iterdpo-trainer"},
            timeout=timeout_s,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def pair_lines(
        self, project: str, *, after: int = 0, page: int = PAGE, **filters: Filter
    ) -> Iterator[bytes]:
        """The project's pairs behind the cursor, one JSON line each, as the server wrote them."""
        fixed = _query(filters) | {"project": project, "limit": page}
        patience = Patience(self._attempts, self._sleep)
        more = True
        while more:
            try:
                with self._http.stream("GET", "/pairs", params=fixed | {"after": after}) as answer:
                    _check(answer)
                    for line in _whole_lines(answer):
                        # Read before it is handed out: whatever happens meanwhile, it counts once.
                        after = cursor_of(line)
                        patience.progress()
                        yield line
                    after = max(after, int(answer.headers["X-Next-Cursor"]))
                    more = "next" in answer.links
                    patience.progress()
            except (*_BROKEN, Passing) as failure:
                patience.wait(_named(failure))

    def pairs(
        self, project: str, *, after: int = 0, page: int = PAGE, **filters: Filter
    ) -> Iterator[dict[str, Any]]:
        """The same, read."""
        for line in self.pair_lines(project, after=after, page=page, **filters):
            yield json.loads(line)

    def image(self, sha256: str, cache: ImageCache) -> Path:
        """The file of an image in the cache, fetched unless it is there."""
        patience = Patience(self._attempts, self._sleep)
        while True:
            try:
                return cache.get(sha256, self._image_blocks)
            except (*_BROKEN, Passing, DamagedImage) as failure:
                patience.wait(_named(failure))

    def images(self, wanted: Iterable[str], cache: ImageCache) -> None:
        """Bring these images into the cache, several at a time."""
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            fetched = [pool.submit(self.image, sha256, cache) for sha256 in dict.fromkeys(wanted)]
            try:
                for future in fetched:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def policies(self) -> list[dict[str, Any]]:
        """The policies that the token's account may see."""
        found: list[dict[str, Any]] = self._json("GET", "/policies")["policies"]
        return found

    def register(self, policy: Mapping[str, object]) -> dict[str, Any]:
        """Register a policy; sending the same one again changes nothing."""
        return self._json("POST", "/policies", policy)

    def _json(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """The answer to a request that may safely be sent twice."""
        patience = Patience(self._attempts, self._sleep)
        while True:
            try:
                with self._http.stream(method, path, json=body) as answer:
                    _check(answer)
                    found: dict[str, Any] = json.loads(answer.read())
                    return found
            except (*_BROKEN, Passing) as failure:
                patience.wait(_named(failure))

    def _image_blocks(self, sha256: str) -> Iterator[bytes]:
        with self._http.stream("GET", f"/images/{sha256}") as answer:
            _check(answer)
            yield from answer.iter_bytes()


def iter_pairs(
    url: str, token: str, project: str, *, after: int = 0, **filters: Filter
) -> Generator[dict[str, Any], None, None]:
    """The project's pairs as they come: the fields of GET /api/v1/pairs. Needs no `datasets`.

    Follow along from where you were with the `cursor` of the last pair as `after`. An image's
    SHA-256 is the last part of its address; Studio.image fetches it.
    """
    with Studio(url, token) as studio:
        yield from studio.pairs(project, after=after, page=PAGE, **filters)


def load_pairs(
    url: str, token: str, project: str, *, cache: Path | str | None = None, **filters: Filter
) -> "datasets.Dataset":
    """All pairs of the project as a dataset; `images` are decoded when a row is looked at.

    cache: where pairs and images are kept, default_cache() if None. A pull that was killed goes
    on where it stopped, and images are fetched once.
    """
    # Here, so that the streaming form works without these.
    from trainer.pulling import pull
    from trainer.tables import raw_table

    place = Path(cache) if cache is not None else default_cache()
    images = ImageCache(place / "images")
    with Studio(url, token) as studio:
        pulled = pull(studio, project, place / "pairs", filters=filters)
        studio.images(pulled.images(), images)
    return raw_table(pulled, images.path, place / "tables")


def default_cache() -> Path:
    """$XDG_CACHE_HOME/iterdpo, or ~/.cache/iterdpo."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "iterdpo"


def sha256_of(address: str) -> str:
    """The SHA-256 in the address of an image."""
    return address.rstrip("/").rpartition("/")[2]


def _query(filters: Mapping[str, Filter]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in filters.items()
        if value is not None
    }


def cursor_of(line: bytes) -> int:
    """The cursor of a line of GET /pairs, as the server wrote it."""
    # Reading a whole line for its cursor would cost more than receiving it.
    found = _CURSOR.search(line)
    return int(found[1] if found else json.loads(line)["cursor"])


def _whole_lines(answer: httpx.Response) -> Iterator[bytes]:
    """The lines that have arrived whole. Raises Passing when the last one is cut off."""
    rest = b""
    for block in answer.iter_bytes():
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        raise Passing("The answer ended in the middle of a line.")


def _check(answer: httpx.Response) -> None:
    """Raises Passing for an answer that may be another one soon, StudioRefusal for a no."""
    if answer.is_success:
        return
    answer.read()
    status = answer.status_code
    said = f"{answer.request.url.copy_with(query=None)} answered {status}: {_detail(answer)}"
    if status in PASSING:
        raise Passing(said, status=status, wait_s=asked_wait_s(answer))
    raise StudioRefusal(said, status)


def _detail(answer: httpx.Response) -> str:
    """What a problem document (RFC 9457) says, else what the status is called."""
    try:
        problem = answer.json()
        faults = [f"{each['field']}: {each['detail']}" for each in problem.get("errors", ())]
        return " ".join([str(problem["detail"]), *faults])
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.reason_phrase or "no reason given"


def _named(failure: Exception) -> Exception:
    """A failure of the connection with what it was."""
    if isinstance(failure, httpx.RequestError):
        what = str(failure) or type(failure).__name__
        return Passing(f"{failure.request.url.copy_with(query=None)}: {what}")
    return failure
