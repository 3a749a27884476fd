"""A decoder: a process that reads images and PDFs for the app, with limits that it sets itself.

python -m app.images.decoding.child, with requests on standard input and answers on standard
output. It has no file open for writing, no address and no secret of the studio.
"""

import contextlib
import os
import resource
import select
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from app.images.decoding import drawing
from app.images.decoding.limits import CPU_S, IDLE_S, NO_ROOM, ROOM, ROOM_ALONE
from app.images.decoding.wire import packed, receive_head, send
from app.images.inspection import check_bytes
from app.refusals import Refusal

# An image in the store was small enough when it came.
_KEPT = 2**40
Answer = tuple[dict[str, Any], list[bytes]]


def main() -> None:
    """Answer requests until the app is gone or asks for nothing more for a minute."""
    reader, writer = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # A library that prints something must not speak on this line, nor fill one that nobody reads.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    memory = _Memory()
    _confine()
    work = _Work()
    while select.select([reader], [], [], IDLE_S)[0]:
        try:
            head, lengths = receive_head(lambda count: _exactly(reader, count))
        except EOFError:
            return
        alone = bool(head.get("alone"))
        memory.limit(ROOM_ALONE if alone else ROOM)
        _limit_time()
        try:
            parts = [_exactly(reader, length) for length in lengths]
        except MemoryError:
            sys.exit(NO_ROOM)  # The rest of the request is still on the line.
        answer, blobs = _answered(work, head, parts, ROOM_ALONE if alone else ROOM)
        del parts
        send(writer, answer, *blobs)


def _answered(work: "_Work", head: dict[str, Any], parts: list[bytes], room: int) -> Answer:
    try:
        return work.done(head, parts, room)
    except Refusal as refusal:
        return {"refused": packed(refusal.message)}, []
    except MemoryError:
        return {"memory": True}, []
    except Exception as error:  # A library's fault with this file, and with no other.
        return {"failed": f"{type(error).__name__}: {error}"[:1000]}, []


class _Work:
    """What a decoder does, by the names of its requests."""

    def __init__(self) -> None:
        self._deck: Any = None
        self._verbs: dict[str, Callable[[dict[str, Any], list[bytes], int], Answer]] = {
            "header": self._header,
            "picture": self._picture,
            "rendition": self._rendition,
            "still": self._still,
            "normalised": self._normalised,
            "deck": self._pages,
            "page": self._page,
        }

    def done(self, head: dict[str, Any], parts: list[bytes], room: int) -> Answer:
        verb = head["verb"]
        if self._deck is not None and verb not in ("deck", "page"):
            self._deck.close()
        return self._verbs[verb](head, parts, room)

    def _header(self, head: dict[str, Any], parts: list[bytes], room: int) -> Answer:
        found = drawing.header(parts[0], max_megapixels=head["max_megapixels"], room=room)
        return _facts(found.kind, found.width, found.height), []

    def _picture(self, head: dict[str, Any], parts: list[bytes], room: int) -> Answer:
        data = parts[0]
        found = drawing.header(data, max_megapixels=head["max_megapixels"], room=room)
        if not found.animated:
            drawn = [drawing.rendition(data, width) for width in head["widths"]]
            return _facts(found.kind, found.width, found.height), drawn
        data = drawing.still(data)
        drawn = [drawing.rendition(data, width) for width in head["widths"]]
        return _facts("png", found.width, found.height), [*drawn, data]

    def _rendition(self, head: dict[str, Any], parts: list[bytes], room: int) -> Answer:
        drawing.header(parts[0], max_megapixels=_KEPT, room=room)
        return {}, [drawing.rendition(parts[0], width) for width in head["widths"]]

    def _still(self, head: dict[str, Any], parts: list[bytes], room: int) -> Answer:
        drawing.header(parts[0], max_megapixels=_KEPT, room=room)
        return {}, [drawing.still(parts[0])]

    def _normalised(self, head: dict[str, Any], parts: list[bytes], room: int) -> Answer:
        if drawing.is_seen_right(parts[0], turns=head["turns"]):
            return {}, []
        return self._still(head, parts, room)

    def _pages(self, head: dict[str, Any], parts: list[bytes], room: int) -> Answer:
        return {"pages": self._opened().count(head["path"])}, []

    def _page(self, head: dict[str, Any], parts: list[bytes], room: int) -> Answer:
        image = self._opened().page(head["path"], head["index"], head["page_width"])
        data = drawing.png(image)
        check_bytes(data)
        drawn = [drawing.drawn(image, width) for width in head["widths"]]
        return _facts("png", *image.size), [*drawn, data]

    def _opened(self) -> Any:
        if self._deck is None:
            # Most decoders never see a PDF, and the library takes a third of their start.
            from app.images.decoding.pages import Deck

            self._deck = Deck()
        return self._deck


def _facts(kind: str, width: int, height: int) -> dict[str, Any]:
    return {"kind": kind, "width": width, "height": height}


class _Memory:
    """The limit of this process's address space, above what it takes without work.

    Linux counts the address space. Elsewhere the app looks at the memory that is in use.
    """

    def __init__(self) -> None:
        self._idle = _address_space()
        if self._idle:
            most = self._idle + ROOM_ALONE
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def limit(self, room: int) -> None:
        if self._idle:
            limits = self._idle + room, self._idle + ROOM_ALONE
            resource.setrlimit(resource.RLIMIT_AS, limits)


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system does not say it."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def _limit_time() -> None:
    """From now on CPU_S seconds of processor time, then the system ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _confine() -> None:
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (0, 0))
    threading.stack_size(256 * 1024)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End with the app, in the middle of a page too."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


if __name__ == "__main__":
    main()
