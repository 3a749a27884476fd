"""Images on their way to a server: whole the first time, by their SHA-256 after that."""

import base64
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# A name of 64 characters; a server's own store (vLLM: 4 GiB) holds far fewer images than this.
_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image's own bytes and its media type, "image/png"."""

    data: bytes
    media_type: str

    @property
    def url(self) -> str:
        """The data URL: exactly the stored bytes."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"


# The image with a SHA-256. Called in a thread; raises app.refusals.NotFound when it is missing.
ImageSource = Callable[[str], ImageFile]


class SentImages:
    """Which images a server is believed to have, the least recently used forgotten first."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[str, None] = OrderedDict()

    def missing(self, images: Iterable[str]) -> frozenset[str]:
        """Those whose bytes have to be sent."""
        return frozenset(images) - self._known.keys()

    def sent(self, images: Iterable[str]) -> None:
        """The server has taken a request with these."""
        for sha256 in images:
            self._known[sha256] = None
            self._known.move_to_end(sha256)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def clear(self) -> None:
        """The server has none of them any more."""
        self._known.clear()

    def forget(self, images: Iterable[str]) -> None:
        """The server does not have them any more: it was restarted, or it ran out of room."""
        for sha256 in images:
            self._known.pop(sha256, None)
