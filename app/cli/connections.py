"""What a connection may cost before its request is there: time, memory, and an open file.

uvicorn waits for ever for a request that trickles in (slowloris), takes a head of any size, and
lets the system refuse connections when the process has no file left to open.
"""

import asyncio
import resource
import time
from contextlib import suppress

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The figures of Apache's mod_reqtimeout: a head within 20 s, then 500 bytes of body a second.
HEAD_S = 20.0
BODY_S = 20.0
LEAST_BYTES_PER_S = 500
HEAD_BYTES = 65_536
# Files of the process that are no client's: database, images, logs, what is downloaded.
OWN_FILES = 200
_MOST_FILES = 65_536
_LINGER_S = 1.0
_MOST_LINGERING = 50
_SAID_AGAIN_S = 60.0

log = structlog.get_logger("connections")


def room_for_connections() -> int:
    """How many connections at once the limit on open files leaves, once it is raised.

    Says so in the log when that is little.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    with suppress(ValueError, OSError):
        # Some systems have a limit below the one that they tell.
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = max(files - OWN_FILES, files // 2)
    if room < 1000:
        log.warning("few connections", most=room, open_files=files, raise_it="ulimit -n 4096")
    return room


class Connection(HttpToolsProtocol):
    """One connection: refused with 503 when there are too many, cut off when it dawdles."""

    _watch: asyncio.TimerHandle | None = None
    # A request is on its way; of a new connection, the first one.
    _coming = True
    _in_head = True
    _began = 0.0
    _received = 0
    _refused = False
    _said_at = -_SAID_AGAIN_S
    _lingering = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Wait for a request, or refuse it."""
        super().connection_made(transport)
        most = self.limit_concurrency
        if most is not None and len(self.connections) >= most:
            self._refuse_for_want_of_room(most)
            return
        self._began = time.monotonic()
        self._watch = self.loop.call_later(HEAD_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        if self._refused:
            return
        self._received += len(data)
        super().data_received(data)
        if not self._coming:
            self._stop_watching()
        elif self._in_head and self._received > HEAD_BYTES:
            self._give_up(b"431 Request Header Fields Too Large")
        elif self._watch is None and not self.transport.is_closing():
            self._watch = self.loop.call_later(HEAD_S, self._look)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        if not self._coming:
            self._coming = self._in_head = True
            self._began, self._received = time.monotonic(), 0

    def on_headers_complete(self) -> None:
        """Its head is here."""
        super().on_headers_complete()
        self._in_head = False
        self._began, self._received = time.monotonic(), 0

    def on_message_complete(self) -> None:
        """All of it is here."""
        super().on_message_complete()
        self._coming = False

    def _look(self) -> None:
        self._watch = None
        if self.transport.is_closing() or not self._coming:
            return
        now = time.monotonic()
        if self.flow.read_paused:
            # It is the app that does not take more.
            self._began, self._received = now, 0
        allowed_s = HEAD_S if self._in_head else BODY_S + self._received / LEAST_BYTES_PER_S
        left_s = self._began + allowed_s - now
        if left_s > 0:
            self._watch = self.loop.call_later(left_s, self._look)
        else:
            self._give_up(b"408 Request Timeout")

    def _give_up(self, status: bytes) -> None:
        answered = self.cycle is not None and self.cycle.response_started
        if not answered or (self._in_head and self.cycle.response_complete):
            self._answer(status)
        self.transport.close()

    def _refuse_for_want_of_room(self, most: int) -> None:
        now = time.monotonic()
        if now - Connection._said_at > _SAID_AGAIN_S:
            Connection._said_at = now
            log.error("too many connections", most=most, raise_it="ulimit -n, LimitNOFILE")
        self._refused = True
        self._answer(b"503 Service Unavailable", b"retry-after: 5\r\n")
        # It counts for nobody's room.
        self.connections.discard(self)
        if Connection._lingering < _MOST_LINGERING:
            # Closed at once, the answer would be lost where the request is still on its way.
            self.transport.write_eof()
            Connection._lingering += 1
            self.loop.call_later(_LINGER_S, self._close_refused)
        else:
            self.transport.close()

    def _close_refused(self) -> None:
        Connection._lingering -= 1
        self.transport.close()

    def _answer(self, status: bytes, more: bytes = b"") -> None:
        text = status.partition(b" ")[2] + b".\n"
        length = str(len(text)).encode()
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: %b\r\n%bconnection: close"
            b"\r\n\r\n%b" % (status, length, more, text)
        )

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
