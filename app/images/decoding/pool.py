"""Decodes what users send: in child processes, as many at once as there are processors.

A request has 256 MiB of memory. One that needs more is done once more with 1 GiB, alone: of the
big ones this process decodes one at a time, so that its decoders together take little more.
"""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import structlog

from app.domain.messages import Message
from app.images.decoding.limits import CPU_S, ROOM_ALONE
from app.images.decoding.process import Crashed, Decoder, DecoderGone, OutOfTime, Retired
from app.images.decoding.wire import WireError, unpacked
from app.images.inspection import KINDS
from app.refusals import Invalid

_log = structlog.get_logger()
PAGE_WIDTH = 1600
# Each takes 20 MB without work.
_MOST = 32


class Costly(Invalid):
    """It takes more memory or time than a decoder has, or ends the decoder."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that was decoded, with what is shown of it.

    data: the bytes to keep: those that came, or made here of an animation or of a PDF's page.
    made: which of the two. renditions: WebP files by their width.
    """

    data: bytes
    made: bool
    format: str
    width: int
    height: int
    renditions: dict[int, bytes]


def size() -> int:
    """How many decoders work at once at most."""
    return _own.pool.size


def header(data: bytes, *, max_megapixels: int) -> tuple[str, int, int]:
    """Format, width and height of an image from its header, as it is shown.

    Raises Invalid, as the others here, with a sentence for the user.
    """
    answer, _ = _own.pool.ask({"verb": "header", "max_megapixels": max_megapixels}, data)
    return _facts(answer)


def picture(data: bytes, *, widths: Sequence[int], max_megapixels: int) -> Picture:
    """An image, every pixel of it read, drawn in these widths; an animation as its first frame."""
    head = {"verb": "picture", "widths": list(widths), "max_megapixels": max_megapixels}
    answer, blobs = _own.pool.ask(head, data)
    return _picture(answer, blobs, widths, data)


def renditions(data: bytes, widths: Sequence[int]) -> dict[int, bytes]:
    """WebP files of an image by their width."""
    _, blobs = _own.pool.ask({"verb": "rendition", "widths": list(widths)}, data)
    return dict(zip(widths, blobs, strict=True))


def still(data: bytes) -> bytes:
    """A PNG of an image as people see it: its first frame, upright, opaque on white, 8 bits."""
    _, blobs = _own.pool.ask({"verb": "still"}, data)
    return blobs[0]


def normalised(data: bytes, *, turns: bool) -> bytes | None:
    """The same for a reader that converts to RGB; None when it sees that in the bytes as they are.
    turns: the reader turns an image upright and puts it on white by itself."""
    _, blobs = _own.pool.ask({"verb": "normalised", "turns": turns}, data)
    return blobs[0] if blobs else None


def page_count(path: Path) -> int:
    """How many pages a PDF has."""
    answer, _ = _own.pool.ask({"verb": "deck", "path": str(path.resolve())})
    count = answer.get("pages")
    return count if type(count) is int else _unexpected()


def page(path: Path, index: int, *, widths: Sequence[int]) -> Picture:
    """A page of a PDF, from 0, as wide as a slide on a screen, drawn in these widths."""
    head = {
        "verb": "page",
        "path": str(path.resolve()),
        "index": index,
        "page_width": PAGE_WIDTH,
        "widths": list(widths),
    }
    answer, blobs = _own.pool.ask(head)
    return _picture(answer, blobs, widths, None)


def close() -> None:
    """End the decoders that have no work. They also end by themselves, after a minute and with
    this process."""
    _own.pool.close()


def _facts(answer: dict[str, Any]) -> tuple[str, int, int]:
    kind, width, height = (answer.get(name) for name in ("kind", "width", "height"))
    if kind in KINDS and type(width) is int and type(height) is int:
        return str(kind), width, height
    return _unexpected()


def _picture(
    answer: dict[str, Any], blobs: list[bytes], widths: Sequence[int], data: bytes | None
) -> Picture:
    kind, width, height = _facts(answer)
    made = blobs[len(widths) :]
    if len(blobs) < len(widths) or len(made) > 1 or (data is None and not made):
        _unexpected()
    shown = dict(zip(widths, blobs, strict=False))
    return Picture(made[0] if made else data or b"", bool(made), kind, width, height, shown)


def _unexpected() -> NoReturn:
    raise _refusal(Crashed())


def _refusal(gone: DecoderGone) -> Costly:
    if isinstance(gone, OutOfTime):
        return Costly(
            Message("It takes more than %(most)s seconds to decode: it is refused.", most=CPU_S)
        )
    if isinstance(gone, Crashed):
        return Costly(Message("It makes the decoder crash: it is refused."))
    return Costly(
        Message(
            "It takes more than %(most)s MiB of memory to decode: it is refused.",
            most=f"{ROOM_ALONE // 2**20:,}",
        )
    )


class _Pool:
    """The decoders of this process: started when they are needed, reused, alone when one is big."""

    def __init__(self) -> None:
        self.size = min(_MOST, _processors())
        self._places = threading.Semaphore(self.size)
        self._alone = threading.Lock()
        self._lock = threading.Lock()
        self._idle: list[Decoder] = []

    def ask(self, head: dict[str, Any], *parts: bytes) -> tuple[dict[str, Any], list[bytes]]:
        with self._places:
            try:
                answer, blobs = self._asked(head, parts, alone=False)
            except OutOfTime as gone:
                raise _refusal(gone) from None
            except DecoderGone:
                answer = None
        if answer is None:
            # Not inside the place: whoever waits to be alone holds up nobody.
            with self._alone, self._places:
                try:
                    answer, blobs = self._asked(head, parts, alone=True)
                except DecoderGone as gone:
                    _log.warning("decoder_gone", why=type(gone).__name__, what=str(gone))
                    raise _refusal(gone) from None
        if "refused" in answer:
            try:
                raise Invalid(unpacked(answer["refused"]))
            except WireError:
                _unexpected()
        return answer, blobs

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.end()

    def _asked(
        self, head: dict[str, Any], parts: tuple[bytes, ...], *, alone: bool
    ) -> tuple[dict[str, Any], list[bytes]]:
        while True:
            with self._lock:
                decoder = self._idle.pop() if self._idle else None
            decoder = decoder or Decoder()
            try:
                answer = decoder.ask(head, *parts, alone=alone)
            except Retired:
                continue
            if alone:
                decoder.end()  # Its memory goes back to the system.
            else:
                with self._lock:
                    self._idle.append(decoder)
            return answer


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Own:
    """The pool of this process. A fork has its parent's decoders on the line: it takes its own."""

    def __init__(self) -> None:
        self.pool = _Pool()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.pool = _Pool()


_own = _Own()
