"""Writes the rows of an export into its file, and remembers what else they need."""

import hashlib
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

from app.pairs.formats import Format, Rendering
from app.pairs.lines import lines_of
from app.pairs.sinks import Originals, Sink
from app.pairs.source import Found, image_kind
from app.pairs.tally import Tally

# So much is written, hashed and compressed at once.
_CHUNK = 256 * 1024
# Rows that must wait stay in memory up to here, and go to a file beyond.
_WAITING = 8 * 2**20


class RowWriter:
    """The rows of a format, one JSON object a line, as they come.

    Where a format wants rows with images first, the others wait: datasets decides by the first
    10 MB of a file what its columns are, and an empty list there would hide that it has images.
    images: the files that the rows name, by SHA-256; each was found in the store.
    """

    def __init__(
        self, sink: Sink, format: Format, rendering: Rendering, tally: Tally, store: Originals
    ) -> None:
        self.images: dict[str, str] = {}
        self._format = format
        self._rendering = rendering
        self._tally = tally
        self._store = store
        self._lines = lines_of(format)
        self._files = ExitStack()
        self._out = self._files.enter_context(sink.file(format.file))
        self._waiting: IO[bytes] = self._files.enter_context(
            tempfile.SpooledTemporaryFile(_WAITING)  # noqa: SIM115 - the stack closes it
        )
        self._hash = hashlib.sha256()
        self._chunk: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def add(self, found: Found) -> None:
        """Write the rows of one pair. Raises NotFound for an image that is missing."""
        sample, tally = found.sample, self._tally
        tally.pairs += 1
        tally.last += found.ends_output
        tally.policies[found.policy or ""] += 1
        if sample.id not in tally.samples:
            tally.samples.add(sample.id)
            if self._format.with_images:
                self._take_images(sample.images, sample.image_files)
        lines = self._lines(found, self._format.rows, self._rendering)
        tally.rows += len(lines)
        if sample.images:
            tally.with_images += 1
        elif self._format.images_first:
            self._waiting.writelines(lines)
            return
        for line in lines:
            self._write(line)

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        with self._files:
            if kind is None:
                self._finish()

    def _finish(self) -> None:
        self._waiting.seek(0)
        late: Iterable[bytes] = self._waiting
        if self._tally.text_only:
            late = map(self._format.text_only, self._waiting)
        for line in late:
            self._write(line)
        self._flush()
        self._tally.images = len(self.images)
        self._tally.files[self._format.file] = self._hash.hexdigest()

    def _take_images(self, images: tuple[str, ...], files: tuple[str, ...]) -> None:
        for sha256, file in zip(images, files, strict=True):
            if sha256 not in self.images:
                self._store.original(sha256, image_kind(file))
                self.images[sha256] = file

    def _write(self, line: bytes) -> None:
        self._chunk.append(line)
        self._size += len(line)
        if self._size >= _CHUNK:
            self._flush()

    def _flush(self) -> None:
        chunk = b"".join(self._chunk)
        self._hash.update(chunk)
        self._out.write(chunk)
        self._chunk, self._size = [], 0
