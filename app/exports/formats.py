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
from app.exports.items import KINDS, PAIRS, ItemKind
from app.refusals import Invalid

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rendering:
    """What rows depend on besides the pair."""

    renderer: Renderer = Template.QWEN2_5_VL
    #: Address of an image by its SHA-256 (the API); None: rows name files in the export.
    image_url: Callable[[str], str] | None = None
    #: Name of the export's directory.
    folder: str = "export"
    project: str = ""
    #: File of an image in the export by the original's SHA-256; None: the pair's own name.
    image_file: Callable[[str], str] | None = None

    @property
    def target(self) -> Target:
        """The part of it that a single row depends on."""
        return Target(self.renderer, self.image_url, self.image_file)


# The rows of an item in a format, in order.
Rows = Callable[[Any, Rendering], Sequence[Row]]


def _as_it_is(line: bytes) -> bytes:
    return line


@dataclass(frozen=True, slots=True)
class Format:
    """A format of exports."""

    name: str
    #: A sentence that says what it is for.
    title: Message
    #: The kind of item that it exports.
    kind: ItemKind
    #: Its files of rows, in order, each with the function that makes its rows.
    files: Mapping[str, Rows]
    #: The other text files of the export by name, README.md among them.
    documents: Callable[[Tally, Rendering], Mapping[str, str]]
    #: Why a renderer cannot render it; None if it can.
    refusal: Callable[[Renderer], str | None]
    #: Its files are Parquet instead of one JSON object a line.
    table: bool = False
    #: Rows hold a pair's texts unchanged, whole or joined with other text, so that lines can be
    #: written quickly (app/exports/jsonl.py).
    verbatim: bool = True
    #: Strings that none of its files can hold.
    reserved: tuple[str, ...] = ()
    #: Rows without images come last.
    images_first: bool = False
    #: Converts a line for an export without any image.
    text_only: Callable[[bytes], bytes] = _as_it_is
    #: The kind of reader that its images must suit.
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
        """The function that makes the rows of the first file."""
        return self.files[self.file]


def format_named(name: str) -> Format:
    """The format with that name. Raises Invalid, listing the names that exist."""
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise Invalid(
            Message(
                "There is no format named %(name)s. Formats: %(known)s.", name=name, known=known
            ),
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
