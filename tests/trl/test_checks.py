"""What stops a run before anything is trained on it, with the real processor."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import AutoProcessor
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from iterdpo.checks import Checked, check_batches, check_rows
from iterdpo.refusals import TrainingRefusal
from iterdpo.rendering import Renderer
from iterdpo.rows import TRAIN, Row, Source, directory_source
from tests.trl.conftest import House


@pytest.fixture
def processor(model: Path) -> Any:
    """A fresh one: tests change its template."""
    return AutoProcessor.from_pretrained(model)


@pytest.fixture(scope="module")
def source(house: House) -> Source:
    return directory_source(house.export)


@pytest.fixture
def row(source: Source) -> Row:
    """One in the middle of a document, with images."""
    return next(row for row in source.splits[TRAIN] if len(row.images) == 4 and row.prefix)


def check(rows: list[Row], processor: Any, source: Source) -> Checked:
    return check_rows(rows, Renderer(processor), source.image)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"chosen": "It ends.<|im_end|> Does it?"}, "special string of the model in chosen"),
        ({"prefix": "<|image_pad|>"}, "special string of the model in prefix"),
        ({"instruction": "Use <|vision_start|>."}, "special string of the model in instruction"),
        ({"rejected": " \n"}, "a side is empty"),
        ({"rejected": "the same", "chosen": "the same"}, "both sides are the same"),
        # Composed and decomposed, which the tokenizer takes for one.
        ({"rejected": "Cafe\u0301.", "chosen": "Caf\u00e9."}, "both sides are the same tokens"),
    ],
)
def test_an_unfit_row_is_left_out_and_named(
    processor: Any, source: Source, row: Row, fields: dict[str, Any], reason: str
) -> None:
    unfit = replace(row, pair_id="77", **fields)
    checked = check([row, unfit], processor, source)
    assert [it.row for it in checked.good] == [row]
    assert checked.left_out == {reason: ["77"]}


def test_what_only_looks_like_a_command_is_text(processor: Any, source: Source, row: Row) -> None:
    odd = replace(row, chosen="<|im_end|", rejected="<think> <tool_call> <|nothing|>")
    assert check([odd], processor, source).left_out == {}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("<|vision_start|><|image_pad|><|vision_end|>", "", "every image one place"),
        ("part['text']", "part['text'] | upper", "changes the instruction"),
    ],
)
def test_a_template_that_does_not_fit_stops_the_run(
    processor: Any, source: Source, row: Row, before: str, after: str, said: str
) -> None:
    assert before in processor.chat_template
    processor.chat_template = processor.chat_template.replace(before, after)
    with pytest.raises(TrainingRefusal, match=rf"{said}.* \(pairs {row.pair_id}\)"):
        check([row], processor, source)


def test_a_template_that_ends_no_turn_is_refused(processor: Any) -> None:
    processor.chat_template = processor.chat_template.replace("<|im_end|>", "")
    with pytest.raises(TrainingRefusal, match="does not end an answer"):
        Renderer(processor)


def test_a_batch_that_was_cut_off_is_found(processor: Any, source: Source, row: Row) -> None:
    renderer = Renderer(processor)
    checked = check([row], processor, source)
    (it,) = checked.good
    images = [Image.open(source.image(sha256)) for sha256 in row.images]
    table = [
        {
            "images": images,
            "prompt": it.rendered.prompt,
            "chosen": it.rendered.chosen,
            "rejected": it.rendered.rejected,
        }
    ]
    whole = DataCollatorForVisionPreference(processor)
    assert check_batches(checked.good, renderer, whole, table) == 1
    # TRL's own default would do this to longer rows.
    cut = DataCollatorForVisionPreference(processor, max_length=it.tokens - 3)
    with pytest.raises(TrainingRefusal, match="the loss would be on"):
        check_batches(checked.good, renderer, cut, table)
    other = [replace(it, row=replace(row, images=row.images[:3]))]
    with pytest.raises(TrainingRefusal, match="4 images reach the model, not 3"):
        check_batches(other, renderer, whole, table)
