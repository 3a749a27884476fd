"""Writes the rows of an export into its files, and collects the images that they need."""

import hashlib
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from app.domain.formats import Reader, Unheld
from app.domain.formats.parquet import IMAGES
from app.exports.counts import Tally
from app.exports.formats import Format, Rendering
from app.exports.items import ExportItem
from app.exports.jsonl import lines_of
from app.exports.parquet import pair_table, write_images
from app.exports.reader import image_file, image_kind
from app.exports.sinks import Sink
from app.images.normalising import Originals, Shown, shown

# So much is written, hashed and compressed at once.
_CHUNK = 256 * 1024
# Rows that must wait stay in memory up to here, and go to a file beyond.
_WAITING = 8 * 2**20


class Writer(Protocol):
    """Writes rows as they come; its files are complete when the block succeeds.

    images: what is to be copied beside the rows: the file of each by its name there.
    """

    @property
    def images(self) -> dict[str, Path]: ...

    def add(self, item: ExportItem) -> None:
        """Write the rows of one. Raises NotFound for an image that is missing."""
        ...


def writer(
    sink: Sink, format: Format, rendering: Rendering, tally: Tally, store: Originals
) -> AbstractContextManager[Writer]:
    """The writer for the rows of a format, with its counts."""
    make = TableWriter if format.table else LineWriter
    return make(sink, format, rendering, tally, store)


class _Counting:
    """The common part of all writers: count an item and find its images."""

    def __init__(
        self, sink: Sink, format: Format, rendering: Rendering, tally: Tally, store: Originals
    ) -> None:
        self._sink = sink
        self._format = format
        self._rendering = rendering
        self._tally = tally
        self._store = store
        self._files = ExitStack()
        # By the SHA-256 of the original.
        self._found: dict[str, tuple[str, Shown]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        with self._files:
            if kind is None:
                self._finish()

    def _finish(self) -> None:
        raise NotImplementedError

    def _count(self, item: ExportItem) -> None:
        sample, tally = item.sample, self._tally
        tally.pairs += 1
        tally.last += item.ends_output
        tally.policies[item.policy or ""] += 1
        tally.with_images += bool(sample.images)
        if item.accepted is not None:
            tally.accepted += item.accepted
            tally.rejected += not item.accepted
        if sample.id not in tally.samples:
            tally.samples.add(sample.id)
            for sha256, file in zip(sample.images, sample.image_files, strict=True):
                if sha256 not in self._found:
                    self._find(sha256, image_kind(file))

    def _find(self, sha256: str, kind: str) -> None:
        found = shown(self._store, sha256, kind, self._format.reader)
        name = image_file(found.sha256, found.format)
        self._found[sha256] = name, found
        if found.sha256 != sha256:
            self._tally.normalised[sha256] = name

    def _name(self, sha256: str) -> str:
        return self._found[sha256][0]

    def _waiting(self) -> IO[bytes]:
        return self._files.enter_context(tempfile.SpooledTemporaryFile(_WAITING))


class LineWriter(_Counting):
    """Writes one JSON object a line: the first file as rows come, other files buffered.

    A sink takes one file at a time. Where a format wants rows with images first, the other rows are
    buffered: datasets infers column types from the first 10 MB of a file, and an empty list there
        would hide the images.
    """

    def __init__(
        self, sink: Sink, format: Format, rendering: Rendering, tally: Tally, store: Originals
    ) -> None:
        super().__init__(sink, format, rendering, tally, store)
        if format.reader is not Reader.BYTES:
            rendering = replace(rendering, image_file=self._name)
        self._lines = {
            name: lines_of(format, rows, rendering) for name, rows in format.files.items()
        }
        first, *others = format.files
        # Closed before the next one is begun.
        self._open = self._files.enter_context(ExitStack())
        self._first = _Hashed(self._open.enter_context(sink.file(first)))
        self._later = {name: self._waiting() for name in others}
        self._without = {name: self._waiting() for name in format.files}

    @property
    def images(self) -> dict[str, Path]:
        """See Writer."""
        return {name: image.path for name, image in self._found.values()}

    def add(self, item: ExportItem) -> None:
        """See Writer."""
        self._count(item)
        late = self._format.images_first and not item.sample.images
        for name, lines_of_one in self._lines.items():
            try:
                lines = lines_of_one(item)
            except Unheld:
                if len(self._lines) == 1:
                    raise
                self._tally.unheld[name] += 1
                continue
            self._tally.rows_of[name] += len(lines)
            if late:
                self._without[name].writelines(lines)
            elif name in self._later:
                self._later[name].writelines(lines)
            else:
                self._first.write(lines)

    def _finish(self) -> None:
        self._tally.images = len(self.images)
        self._end(self._format.file, self._first)
        self._open.close()
        for name, waiting in self._later.items():
            waiting.seek(0)
            with self._sink.file(name) as file:
                out = _Hashed(file)
                out.write(waiting)
                self._end(name, out)

    def _end(self, name: str, out: "_Hashed") -> None:
        without = self._without[name]
        without.seek(0)
        late: Iterable[bytes] = without
        if self._tally.text_only:
            late = map(self._format.text_only, without)
        out.write(late)
        out.flush()
        self._tally.files[name] = out.sha256


class TableWriter(_Counting):
    """Parquet: the rows as a table, and each image once in another.

    Both are written outside the sink first, since a Parquet writer needs a file that reports its
    position.
    """

    def __init__(
        self, sink: Sink, format: Format, rendering: Rendering, tally: Tally, store: Originals
    ) -> None:
        super().__init__(sink, format, rendering, tally, store)
        # They stand in their table.
        self.images: dict[str, Path] = {}
        self._file = self._files.enter_context(_beside())
        self._open = ExitStack()
        self._table = self._open.enter_context(pair_table(self._file))

    def add(self, item: ExportItem) -> None:
        """See Writer."""
        self._count(item)
        for row in self._format.rows(item.item, self._rendering):
            self._tally.rows_of[self._format.file] += 1
            self._table.add(dict(row))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._files:
            self._open.__exit__(kind, error, trace)
            if kind is None:
                self._finish()

    def _finish(self) -> None:
        self._tally.images = len(self._found)
        self._copy(self._file, self._format.file)
        with _beside() as file:
            originals = (
                (sha256, image.format, image.path)
                for sha256, (_, image) in sorted(self._found.items())
            )
            write_images(file, originals)
            self._copy(file, IMAGES)

    def _copy(self, file: IO[bytes], name: str) -> None:
        file.seek(0)
        digest = hashlib.sha256()
        with self._sink.file(name) as out:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
        self._tally.files[name] = digest.hexdigest()


def _beside() -> IO[bytes]:
    return tempfile.TemporaryFile()


class _Hashed:
    """Writes lines into a file in chunks and hashes them."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._hash = hashlib.sha256()
        self._chunk: list[bytes] = []
        self._size = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was flushed."""
        return self._hash.hexdigest()

    def write(self, lines: Iterable[bytes]) -> None:
        """Take some lines."""
        for line in lines:
            self._chunk.append(line)
            self._size += len(line)
            if self._size >= _CHUNK:
                self.flush()

    def flush(self) -> None:
        """Write out what is buffered."""
        chunk = b"".join(self._chunk)
        self._hash.update(chunk)
        self._out.write(chunk)
        self._chunk, self._size = [], 0
