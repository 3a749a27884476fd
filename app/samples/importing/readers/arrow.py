"""Reads tables of Apache Arrow: Parquet files, and the Arrow files that save_to_disk writes.

pyarrow is an extra (app.exports.parquet says why): it is loaded when such a file is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BufferedReader
from typing import Any, BinaryIO

from app.domain.messages import Message
from app.refusals import Invalid
from app.samples.importing.detection import FileKind
from app.samples.importing.incoming import RowError, Where
from app.samples.importing.records import ImageFiles, Record, Records
from app.samples.importing.trees import FileTree

# A row may hold dozens of images, so few of them are in memory at once.
_ROWS = 4
_BUFFER = 2**20


def read_table(
    tree: FileTree, name: str, kind: FileKind, *, images: ImageFiles, label: str
) -> Records:
    """A record for each row, a few rows in memory at a time; what is damaged ends the reading.

    Raises Invalid where pyarrow is not installed.
    """
    arrow = _pyarrow()
    number = 0
    try:
        with tree.opened(name) as file, _batches(arrow, file, kind) as (rows, batches):
            for batch in batches:
                for at in range(batch.num_rows):
                    number += 1
                    [values] = batch.slice(at, 1).to_pylist()
                    progress = number / max(rows, number)
                    yield Record(Where(label, row=number), values, images, progress)
    except (arrow.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        said = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        reason = said.rstrip(".")
        where = Where(label, row=number + 1) if number else Where(label)
        yield RowError(
            where, None, Message("The file is damaged or cut off: %(reason)s.", reason=reason)
        )


@contextmanager
def _batches(arrow: Any, file: BinaryIO, kind: FileKind) -> Iterator[tuple[int, Iterator[Any]]]:
    """How many rows there are (0: not known), and the rows in small batches."""
    if kind is FileKind.PARQUET:
        parquet = import_module("pyarrow.parquet")
        # Buffered: pages are read as they are needed, not whole columns of a row group.
        with parquet.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as table:
            yield table.metadata.num_rows, table.iter_batches(batch_size=_ROWS, use_threads=False)
        return
    with _mapped(arrow, file) as source:
        if kind is FileKind.ARROW_FILE:
            reader = arrow.ipc.open_file(source)
            whole = (reader.get_batch(at) for at in range(reader.num_record_batches))
        else:
            whole = iter(arrow.ipc.open_stream(source))
        yield 0, whole


@contextmanager
def _mapped(arrow: Any, file: BinaryIO) -> Iterator[Any]:
    """The file as memory that the system may drop at any time, where it is one on disk."""
    # An entry of an archive has a name and a fileno as well, but it is no file of that name.
    if not isinstance(file, BufferedReader):
        yield file
        return
    with arrow.memory_map(file.name) as mapped:
        yield mapped


def _pyarrow() -> Any:
    try:
        arrow = import_module("pyarrow")
        import_module("pyarrow.ipc")
    except ImportError:
        raise Invalid(
            "Parquet and Arrow files need pyarrow, which is not installed here: pip install "
            '"iterdpo-studio[parquet]".'
        ) from None
    return arrow
