"""The unmodified KTOTrainer and SFTTrainer put their loss on exactly the segment."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Image, List, load_dataset
from trl import KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

from tests.trl.annotated import written
from tests.trl.test_exports import END, OPEN, _composed


@pytest.fixture(scope="module")
def kto(export_as: Callable[[str], Path]) -> Path:
    return export_as("kto")


@pytest.fixture(scope="module")
def sft(export_as: Callable[[str], Path]) -> Path:
    return export_as("sft")


@pytest.fixture(scope="module")
def kto_trainer(kto: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("kto")
    return KTOTrainer(
        model=str(model),
        args=KTOConfig(
            output_dir=str(place),
            max_length=None,
            per_device_train_batch_size=2,
            max_steps=1,
            bf16=False,
            report_to="none",
        ),
        train_dataset=load_dataset(str(kto), split="train", cache_dir=str(place)),
    )


@pytest.fixture(scope="module")
def sft_trainer(sft: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("sft")
    file = str(sft / "segments.jsonl")
    rows = load_dataset("json", data_files=file, split="train", cache_dir=str(place))
    rows = rows.map(
        lambda paths: {"images": [f"{sft}/{path}" for path in paths]}, input_columns="images"
    ).cast_column("images", List(Image()))
    return SFTTrainer(
        model=str(model),
        args=SFTConfig(
            output_dir=str(place),
            max_length=None,
            per_device_train_batch_size=2,
            max_steps=1,
            bf16=False,
            report_to="none",
        ),
        train_dataset=rows,
    )


def test_the_project_has_judgements_and_outputs_of_all_kinds(kto: Path, sft: Path) -> None:
    judged = written(kto / "metadata.jsonl")
    assert {row["label"] for row in judged} == {True, False}
    segments = written(sft / "segments.jsonl")
    assert {row["verdict"] for row in segments} == {"accepted", "corrected"}
    assert {row["is_last"] for row in segments} == {True, False}


def test_kto_learns_each_segment_and_nothing_before_it(kto: Path, kto_trainer: Any) -> None:
    tokenizer = kto_trainer.processing_class.tokenizer
    wanted = {row["judgement_id"]: row for row in written(kto / "metadata.jsonl")}
    seen = set()
    for row in kto_trainer.train_dataset:
        batch = kto_trainer.data_collator([row])
        judged = wanted[row["judgement_id"]]
        before, loss = parts(tokenizer, batch, "completion_mask")
        assert loss == _composed(judged["segment_completion"] + (END if judged["is_last"] else ""))
        assert before.endswith(_composed(f"{judged['instruction']}{END}\n{OPEN}{judged['prefix']}"))
        assert before.count(OPEN) == 1
        seen.add(row["judgement_id"])
    assert seen == set(wanted)


def test_sft_learns_each_segment_and_nothing_before_it(sft: Path, sft_trainer: Any) -> None:
    tokenizer = sft_trainer.processing_class.tokenizer
    rows = written(sft / "segments.jsonl")
    assert len(rows) == len(sft_trainer.train_dataset)
    for row, shown in zip(rows, sft_trainer.train_dataset, strict=True):
        batch = sft_trainer.data_collator([shown])
        labels = batch["labels"][0]
        assert tokenizer.decode(labels[labels != -100]) == _composed(row["completion"])
        assert row["completion"].endswith(END) is row["is_last"]
        before = tokenizer.decode(batch["input_ids"][0][labels == -100])
        assert before.endswith(_composed(row["prompt"].rpartition("<|vision_end|>")[2]))
        assert before.count(OPEN) == 1
        if row["n_images"]:
            assert int((batch["image_grid_thw"]).shape[0]) == row["n_images"]


@pytest.mark.parametrize("name", ["kto_trainer", "sft_trainer"])
def test_a_step_is_made(request: pytest.FixtureRequest, name: str) -> None:
    result = request.getfixturevalue(name).train()
    assert math.isfinite(result.training_loss)


def parts(tokenizer: Any, batch: Any, mask_name: str) -> tuple[str, str]:
    """What stands before the loss, and what is under it, in a batch of one row."""
    ids = batch["input_ids"][0]
    mask = batch[mask_name][0].bool()
    attention = batch["attention_mask"][0].bool()
    assert isinstance(ids, torch.Tensor)
    return tokenizer.decode(ids[attention & ~mask]), tokenizer.decode(ids[mask])
