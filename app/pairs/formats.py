"""The formats that pairs leave in, as the pipeline writes them: one JSON object a line.

What a row is and which files go with the rows is app/domain/formats; to add a format is to add it
there. The command line, the admin's page and the API offer what is registered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from types import MappingProxyType

from app.domain import formats as domain
from app.domain.formats import Pair, Stream, Summary, Target
from app.domain.formats.rows import beside
from app.domain.prompts import Template
from app.pairs.tally import Tally
from app.refusals import Invalid

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rendering:
    """What rows depend on beside the pair. image_url: the address of an image by its SHA-256 (the
    API); None: rows name files beside them. folder: what the export's directory is called."""

    template: Template = Template.QWEN2_5_VL
    image_url: Callable[[str], str] | None = None
    folder: str = "export"
    project: str = ""

    @property
    def target(self) -> Target:
        """The same for a row."""
        address = self.image_url
        image = beside if address is None else lambda sha256, _file: address(sha256)
        return Target(self.template, image)


# A pair's rows, in order.
Rows = Callable[[Pair, Rendering], Sequence[Row]]


def _as_it_is(line: bytes) -> bytes:
    return line


@dataclass(frozen=True, slots=True)
class Format:
    """A format of rows, one JSON object a line.

    title: a sentence of what it is for. rows: of a pair, in order. verbatim: rows hold the pair's
    prefix, chosen and rejected text only as they are, whole or joined with other text, so that
    lines can be written quickly (app/pairs/lines.py). file: the rows' file. documents: the other
    text files of the export by name, README.md among them. images_first: rows without images
    stand last. text_only: what becomes of a line in an export without any image.
    """

    name: str
    title: str
    rows: Rows
    file: str
    documents: Callable[[Tally, Rendering], Mapping[str, str]]
    verbatim: bool = True
    with_images: bool = True
    images_first: bool = False
    text_only: Callable[[bytes], bytes] = _as_it_is
    media_type: str = "application/x-ndjson"


def format_named(name: str) -> Format:
    """The format of that name. Raises Invalid, naming those there are."""
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise Invalid(f"There is no format {name}. There are: {known}.", field="format")
    return FORMATS[name]


_IMAGES_KEY = b'{"images_file_names":'


def _plain_images(line: bytes) -> bytes:
    """Rows for the JSON loader: the images column under its own name."""
    return b'{"images":' + line.removeprefix(_IMAGES_KEY)


def _written(format: domain.Format, stream: Stream[Pair]) -> Format:
    def documents(tally: Tally, rendering: Rendering) -> Mapping[str, str]:
        return format.files(
            Summary(
                folder=rendering.folder,
                project=rendering.project,
                renderer=rendering.template,
                rows={stream.file: tally.rows},
                mid=tally.mid,
                last=tally.last,
                with_images=tally.with_images,
                without_images=tally.without_images,
                images=tally.images,
                left_out={check.value: count for check, count in tally.left_out.items()},
                version=version("iterdpo-studio"),
            )
        )

    return Format(
        name=format.name,
        title=format.description,
        rows=lambda pair, rendering: stream.rows(pair, rendering.target),
        file=stream.file,
        documents=documents,
        # A text with a reserved string must be seen by the format itself, which refuses it.
        verbatim=not format.reserved,
        images_first=format.images_first,
        text_only=_plain_images if format.imagefolder else _as_it_is,
    )


# Tables are written by app.pairs.parquet.
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        format.name: _written(format, stream)
        for format in domain.FORMATS.values()
        for stream in format.streams_of(Pair)
        if stream.file.endswith(".jsonl")
    }
)
