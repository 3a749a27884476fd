"""The formats that pairs leave in: what a row is, which files go with the rows.

To add one: a pure row function in app/domain/formats, and a Format here. The command line, the
admin's page and the API offer what is registered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from app.domain.formats import Pair, raw_row, trl_config, trl_readme, trl_row
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


def _trl_rows(pair: Pair, rendering: Rendering) -> Sequence[Row]:
    return (trl_row(pair, rendering.template),)


def _trl_documents(tally: Tally, rendering: Rendering) -> Mapping[str, str]:
    readme = trl_readme(
        template=rendering.template,
        pairs=tally.pairs,
        mid_document=tally.mid,
        last=tally.last,
        with_images=tally.with_images,
        without_images=tally.without_images,
        images=tally.images,
        folder=rendering.folder,
    )
    if tally.text_only:
        readme += (
            '\n## No images\n\nNo pair here has an image, so the rows carry `"images": []` '
            "instead of\n`images_file_names`: datasets reads them as plain JSON.\n"
        )
    return {
        "README.md": readme + tally.left_out_section(),
        "dpo.yaml": trl_config(rendering.template, rendering.folder),
    }


_IMAGES_KEY = b'{"images_file_names":'


def _trl_text_only(line: bytes) -> bytes:
    """Rows for the JSON loader: the images column under its own name."""
    return b'{"images":' + line.removeprefix(_IMAGES_KEY)


def _raw_rows(pair: Pair, rendering: Rendering) -> Sequence[Row]:
    if rendering.image_url is not None:
        return (raw_row(pair, rendering.image_url),)
    return (raw_row(pair, str) | {"images": list(pair.image_files)},)


def _raw_documents(tally: Tally, rendering: Rendering) -> Mapping[str, str]:
    readme = f"""# IterDPO preference pairs, raw

{tally.pairs} pairs in `pairs.jsonl`, one JSON object a line, and their {tally.images} images.

`chosen` and `rejected` both continue `prefix`, the text before them, joined with nothing between.
No chat template is applied. `ends_output`: both sides end the output, so a trainer's text gets
end-of-turn after them; after any other segment it must not.
"""
    return {"README.md": readme + tally.left_out_section()}


TRL = Format(
    name="trl",
    title="for an unmodified TRL DPOTrainer, images beside the rows",
    rows=_trl_rows,
    file="metadata.jsonl",
    documents=_trl_documents,
    images_first=True,
    text_only=_trl_text_only,
)
RAW = Format(
    name="raw",
    title="the pairs as they are stored, without any model's template",
    rows=_raw_rows,
    file="pairs.jsonl",
    documents=_raw_documents,
)
FORMATS: Mapping[str, Format] = MappingProxyType({one.name: one for one in (TRL, RAW)})
