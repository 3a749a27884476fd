"""The REST API of a running studio, as a trainer calls it.

A request that fails in a way that may pass is tried again, and a download that breaks off goes on
behind its last whole line.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from iterdpo.images import DamagedImage, ImageCache
from iterdpo.refusals import StudioRefusal
from iterdpo.retrying import PASSING, Passing, Patience, asked_wait_s

PAGE = 10_000
ATTEMPTS = 8
# Images at once.
DOWNLOADS = 8
TIMEOUT_S = 60.0
# A number before the last brace belongs to the object itself: a text would end in a quote there.
_CURSOR = re.compile(rb'"cursor": ?([0-9]+)}\n\Z')
# What ends a connection early: no bytes, too few bytes, or bytes that do not unpack.
_BROKEN = (httpx.TransportError, httpx.DecodingError)

# Of several values any will do. None: the filter is not asked for.
Filter = str | int | float | bool | date | Sequence[str | int] | None
# What a request says beside filters: among them it would be lost, or be taken for its own.
_NO_FILTERS = frozenset({"project", "after", "limit", "page"})


class Studio:
    """A running IterDPO Studio. url: such as https://studio.example; token: an API token.

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
        if not re.match(r"https?://[^/]", url):
            raise StudioRefusal(
                f"{url!r} is no address of a studio: one such as https://studio.example is needed."
            )
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
        fixed = query_of(filters) | {"project": project, "limit": page}
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


def sha256_of(address: str) -> str:
    """The SHA-256 in the address of an image."""
    return address.rstrip("/").rpartition("/")[2]


def query_of(filters: Mapping[str, Filter]) -> dict[str, Any]:
    """The filters as an address spells them.

    Raises StudioRefusal for a name that is part of every request, and for a value that the server
    would take for none or cannot know: what is passed over would give more pairs than were wanted.
    """
    for name, value in filters.items():
        if name in _NO_FILTERS:
            raise StudioRefusal(f"{name} is no filter of pairs.")
        if isinstance(value, datetime):
            raise StudioRefusal(f"{name}: A day is needed (of UTC), not a moment.")
        if value == "" or (isinstance(value, list | tuple) and (not value or "" in value)):
            raise StudioRefusal(f"{name}: There is no value. Leave it out to ask for all.")
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
        detail, faults = str(problem["detail"]), problem.get("errors", ())
        if len(faults) == 1 and faults[0]["detail"] == detail:
            return f"{faults[0]['field']}: {detail}"
        return detail
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.reason_phrase or "no reason given"


def _named(failure: Exception) -> Exception:
    """A failure of the connection with what it was."""
    if isinstance(failure, httpx.RequestError):
        what = str(failure) or type(failure).__name__
        return Passing(f"{failure.request.url.copy_with(query=None)}: {what}")
    return failure
