"""Export formats as the pipeline writes them.

app/domain/formats defines rows and companion files; a new format is added there. The command line,
the admin's page and the API offer every registered format.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

from app.domain import formats as domain
from app.domain.formats import Pair, Reader, Stream, Summary, Target, Unheld
from app.domain.messages import Message
from app.domain.prompts import Renderer, Template
from app.exports.counts import Tally
from app.exports.items import KINDS, PAIRS, Kind
from app.refusals import Invalid

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rendering:
    """What rows depend on beside the pair. image_url: the address of an image by its SHA-256 (the
    API); None: rows name files beside them. image_file: such a file by the SHA-256 of the original;
    None: as the pair names it. folder: what the export's directory is called."""

    renderer: Renderer = Template.QWEN2_5_VL
    image_url: Callable[[str], str] | None = None
    folder: str = "export"
    project: str = ""
    image_file: Callable[[str], str] | None = None

    @property
    def target(self) -> Target:
        """The same for a row."""
        return Target(self.renderer, self.image_url, self.image_file)


# The rows of what a format is made of, in order.
Rows = Callable[[Any, Rendering], Sequence[Row]]


def _as_it_is(line: bytes) -> bytes:
    return line


@dataclass(frozen=True, slots=True)
class Format:
    """A format of exports.

    title: a sentence of what it is for. kind: what it is made of. files: its files of rows, in
    order, with what makes their rows. table: they are Parquet, and not one JSON object a line.
    verbatim: rows hold the pair's prefix, chosen and rejected text only as they are, whole or
    joined with other text, so that lines can be written quickly (app/exports/jsonl.py). documents:
    the other text files of the export by name, README.md among them. reserved: strings that none
    of its files can hold. images_first: rows without images stand last. text_only: what becomes of
    a line in an export without any image. reader: whom its images must suit. refusal: why a
    renderer cannot render it, None if it can.
    """

    name: str
    title: Message
    kind: Kind
    files: Mapping[str, Rows]
    documents: Callable[[Tally, Rendering], Mapping[str, str]]
    refusal: Callable[[Renderer], str | None]
    table: bool = False
    verbatim: bool = True
    reserved: tuple[str, ...] = ()
    images_first: bool = False
    text_only: Callable[[bytes], bytes] = _as_it_is
    reader: Reader = Reader.BYTES

    @property
    def file(self) -> str:
        """The first file of rows."""
        return next(iter(self.files))

    def unheld(self, item: Any, rendering: Rendering) -> Iterator[str]:
        """The files that cannot hold this item, though another can."""
        for name, rows in self.files.items():
            try:
                rows(item, rendering)
            except Unheld:
                if len(self.files) == 1:
                    raise
                yield name

    @property
    def rows(self) -> Rows:
        """What makes the rows of the first file."""
        return self.files[self.file]


def format_named(name: str) -> Format:
    """The format with that name. Raises Invalid, listing the names that exist."""
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise Invalid(
            Message("There is no format %(name)s. There are: %(known)s.", name=name, known=known),
            field="format",
        )
    return FORMATS[name]


def pair_lines_format(name: str) -> Format:
    """The format with that name if the feed can send it: one of pairs, as JSON lines.

    Raises Invalid, listing the names that exist.
    """
    if name in FORMATS and name not in PAIR_FORMATS:
        form = FORMATS[name]
        why = "a table" if form.table else f"made of {form.kind.nouns}, not of pairs"
        raise Invalid(
            f"The format {name} is {why}: take it home as an export or in a snapshot. Pairs can be "
            f"sent as: {', '.join(PAIR_FORMATS)}.",
            field="format",
        )
    return format_named(name)


_IMAGES_KEY = b'{"images_file_names":'


def _plain_images(line: bytes) -> bytes:
    """Rows for the JSON loader: the images column under its own name."""
    return b'{"images":' + line.removeprefix(_IMAGES_KEY)


def _rows(stream: Stream[Any]) -> Rows:
    return lambda item, rendering: stream.rows(item, rendering.target)


def _written(format: domain.Format) -> Format:
    def documents(tally: Tally, rendering: Rendering) -> Mapping[str, str]:
        return format.files(
            Summary(
                folder=rendering.folder,
                project=rendering.project,
                renderer=rendering.renderer,
                rows={stream.file: tally.rows_of[stream.file] for stream in format.streams},
                mid=tally.mid,
                last=tally.last,
                with_images=tally.with_images,
                without_images=tally.without_images,
                images=tally.images,
                left_out={check.value: count for check, count in tally.left_out.items()},
                version=version("iterdpo-studio"),
                accepted=tally.accepted,
                rejected=tally.rejected,
                unheld=tally.unheld,
            )
        )

    streams = format.streams
    return Format(
        name=format.name,
        title=format.description,
        kind=KINDS[streams[0].consumes],
        files={stream.file: _rows(stream) for stream in streams},
        documents=documents,
        refusal=format.refusal,
        table=streams[0].file.endswith(".parquet"),
        # A text with a reserved string must be seen by the format itself, which refuses it.
        verbatim=streams[0].consumes is Pair and not format.reserved,
        reserved=format.reserved,
        images_first=format.images_first,
        text_only=_plain_images if format.imagefolder else _as_it_is,
        reader=format.reader,
    )


FORMATS: Mapping[str, Format] = MappingProxyType(
    {format.name: _written(format) for format in domain.FORMATS.values()}
)
# Of pairs, one JSON object a line: these can be sent pair by pair.
PAIR_FORMATS: Mapping[str, Format] = MappingProxyType(
    {name: form for name, form in FORMATS.items() if form.kind is PAIRS and not form.table}
)
