"""Parquet: a table of pairs, and a table that holds each image once (domain.formats.parquet).

pyarrow takes 170 MB on disk and 50 MB in memory, more than the rest of the app. So it is an
optional extra, loaded only when a table is written.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from app.domain.formats import Row
from app.domain.formats.parquet import IMAGE_COLUMNS, PAIR_COLUMNS, REPEATED
from app.refusals import Conflict

# A row group holds so much: what a reader must take into memory at once, and the writer too.
GROUP_BYTES = 4 * 2**20
_GROUP_ROWS = 4096
# Neighbouring pairs share most of their prefix; a large page lets the compression see both.
_PAGE_BYTES = 4 * 2**20


class Table:
    """Writes rows to a Parquet file, one row group at a time; memory use stays flat."""

    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer = writer
        self._schema = schema
        self._rows: list[Row] = []
        self._bytes = 0

    def add(self, row: Row) -> None:
        """One more row, with every column of the table."""
        self._rows.append(row)
        self._bytes += sum(len(value) for value in row.values() if isinstance(value, str | bytes))
        if self._bytes >= GROUP_BYTES or len(self._rows) >= _GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the buffered rows as a row group."""
        if self._rows:
            arrow = pyarrow()
            self._writer.write_table(arrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows, self._bytes = [], 0


@contextmanager
def pair_table(out: IO[bytes]) -> Iterator[Table]:
    """The table of pairs, open for the block; its rows are those of domain.formats.parquet.rows.

    Raises Conflict when pyarrow is not installed.
    """
    with _open(out, PAIR_COLUMNS, dictionary=REPEATED) as table:
        yield table


def write_images(out: IO[bytes], images: Iterable[tuple[str, str, Path]]) -> int:
    """The table of images: SHA-256, format and file of each, once; returns how many there are."""
    seen: set[str] = set()
    # Images are compressed already: zstd would only cost time.
    with _open(out, IMAGE_COLUMNS, dictionary=("format",), stored=("image",)) as table:
        for sha256, kind, file in images:
            if sha256 not in seen:
                seen.add(sha256)
                table.add({"sha256": sha256, "format": kind, "image": file.read_bytes()})
    return len(seen)


def pyarrow() -> Any:
    """The library. Raises Conflict, with what to do, when it is not installed."""
    try:
        return import_module("pyarrow")
    except ImportError as error:
        raise Conflict(
            'Parquet needs pyarrow, which is not installed. pip install "iterdpo-studio[parquet]"'
        ) from error


@contextmanager
def _open(
    out: IO[bytes],
    columns: Mapping[str, str],
    *,
    dictionary: tuple[str, ...],
    stored: tuple[str, ...] = (),
) -> Iterator[Table]:
    arrow = pyarrow()
    schema = arrow.schema([(name, _type(arrow, words)) for name, words in columns.items()])
    leaves = [
        f"{name}.list.element" if words.startswith("list") else name
        for name, words in columns.items()
    ]
    writer = import_module("pyarrow.parquet").ParquetWriter(
        out,
        schema,
        compression={leaf: "none" if leaf in stored else "zstd" for leaf in leaves},
        use_dictionary=[leaf for leaf in leaves if leaf.partition(".")[0] in dictionary],
        data_page_size=_PAGE_BYTES,
    )
    with writer:
        table = Table(writer, schema)
        yield table
        table.flush()


def _type(arrow: Any, words: str) -> Any:
    if words.startswith("list<"):
        return arrow.list_(_type(arrow, words[5:-1]))
    if words.startswith("timestamp"):
        return arrow.timestamp("us", tz="UTC")
    return getattr(arrow, {"bool": "bool_"}.get(words, words))()
