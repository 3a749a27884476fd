"""The formats by name: what each consumes, its rows and the files that go with them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from app.domain.formats import (
    kto,
    llamafactory,
    llamafactory_exact,
    ms_swift,
    parquet,
    raw,
    sft,
    trl,
    trl_jsonl,
)
from app.domain.formats.rows import MEDIA_TAGS, Reader, Row, Target
from app.domain.formats.summary import Summary
from app.domain.formats.values import Judgement, Pair, WholeOutput
from app.domain.messages import Message
from app.domain.prompts import IMAGE_PLACEHOLDER, Renderer

Item = TypeVar("Item", Pair, Judgement, WholeOutput)


@dataclass(frozen=True, slots=True)
class Stream(Generic[Item]):
    """A file of an export: the rows of every item, in the items' order.

    rows may give none or several for an item, and raises Unheld, with a sentence, for one that the
    trainer would misread: where a format has several files, the others still hold it.
    """

    file: str
    consumes: type[Item]
    rows: Callable[[Item, Target], Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of exports.

    files: makes what goes with the rows, by name. reserved: strings that none of its files can
    hold, beside the renderer's own. placeholder: what the renderer must write for an image; "" if
    anything. images_first: rows without images stand last, since datasets decides by the first 10
    MB of a file what its columns are. imagefolder: datasets makes the images of
    "images_file_names", which name files only; where no row has any, the column must be called
    "images". reader: whom the files of its images must suit.
    """

    name: str
    description: Message
    streams: tuple[Stream[Pair] | Stream[Judgement] | Stream[WholeOutput], ...]
    files: Callable[[Summary], Mapping[str, str]]
    reserved: tuple[str, ...] = ()
    placeholder: str = ""
    images_first: bool = True
    imagefolder: bool = False
    reader: Reader = Reader.BYTES

    def streams_of(self, consumes: type[Item]) -> Iterator[Stream[Item]]:
        """The files that are made of pairs, or of judgements, or of whole outputs."""
        for stream in self.streams:
            if stream.consumes is consumes:
                # The type checker cannot follow that the two types are one and the same.
                yield cast(Any, stream)

    def refusal(self, renderer: Renderer) -> str | None:
        """Why the format cannot be rendered by this renderer, as a sentence; None if it can."""
        if self.placeholder and renderer.image_placeholder != self.placeholder:
            return Message(
                "The format %(name)s marks images with %(placeholder)s, but the template "
                "%(label)s uses %(image_placeholder)s.",
                name=self.name,
                placeholder=self.placeholder,
                label=renderer.label,
                image_placeholder=renderer.image_placeholder,
            )
        return None


FORMATS: Mapping[str, Format] = {
    format.name: format
    for format in (
        Format(
            "trl",
            Message(
                "A directory for an unmodified TRL DPOTrainer, with rows and images side by side."
            ),
            (Stream(trl.FILE, Pair, trl.rows),),
            trl.companions,
            reader=Reader.DATASETS,
            imagefolder=True,
        ),
        Format(
            "trl-jsonl",
            Message("The same rows in one JSON Lines file, with the paths of their images."),
            (Stream(trl_jsonl.FILE, Pair, trl_jsonl.rows),),
            trl_jsonl.companions,
            reader=Reader.DATASETS,
        ),
        Format(
            "llamafactory",
            Message(
                "For an unmodified LLaMA-Factory. It learns the end of turn after every segment."
            ),
            (Stream(llamafactory.FILE, Pair, llamafactory.rows),),
            llamafactory.companions,
            reader=Reader.PILLOW,
            reserved=MEDIA_TAGS,
        ),
        Format(
            "llamafactory-exact",
            Message(
                "For LLaMA-Factory with the launcher that comes with the rows. The loss covers "
                "exactly the segment."
            ),
            (Stream(llamafactory.FILE, Pair, llamafactory_exact.rows),),
            llamafactory_exact.companions,
            reader=Reader.PILLOW,
            reserved=MEDIA_TAGS,
            placeholder=IMAGE_PLACEHOLDER,
        ),
        Format(
            "ms-swift",
            Message(
                "For ms-swift: messages with a loss flag each. The loss covers exactly the segment."
            ),
            (Stream(ms_swift.FILE, Pair, ms_swift.rows),),
            ms_swift.companions,
            reader=Reader.PILLOW,
            reserved=MEDIA_TAGS,
        ),
        Format(
            "kto",
            Message(
                "A directory for TRL's KTOTrainer: accepted segments are true, deleted ones false."
            ),
            (Stream(trl.FILE, Judgement, kto.rows),),
            kto.companions,
            reader=Reader.DATASETS,
            imagefolder=True,
        ),
        Format(
            "sft",
            Message(
                "For supervised fine-tuning (SFT): finished texts as a whole, by segment, "
                "and as messages."
            ),
            (
                Stream(sft.OUTPUTS, WholeOutput, sft.output_rows),
                Stream(sft.SEGMENTS, WholeOutput, sft.segment_rows),
                Stream(sft.SHAREGPT, WholeOutput, sft.sharegpt_rows),
            ),
            sft.companions,
            reader=Reader.PILLOW,
        ),
        Format(
            "raw",
            Message("JSON Lines as stored, without a model's template."),
            (Stream(raw.FILE, Pair, raw.rows),),
            raw.companions,
            images_first=False,
        ),
        Format(
            "parquet",
            Message(
                "The raw rows as a Parquet table. Each image is stored once, in a table of its own."
            ),
            (Stream(parquet.FILE, Pair, parquet.rows),),
            parquet.companions,
            images_first=False,
        ),
    )
}
