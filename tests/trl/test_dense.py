"""Dense DPO: plain DPO at weight 1, step for step; above it changed tokens count more."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoProcessor
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from iterdpo.dense import DenseCollator, DenseDPOTrainer, changed
from tests.trl.conftest import House


@pytest.fixture(scope="module")
def table(house: House, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_dataset(
        str(house.export), split="train", cache_dir=str(tmp_path_factory.mktemp("table"))
    )


@pytest.fixture(scope="module")
def processor(model: Path) -> Any:
    return AutoProcessor.from_pretrained(model)


def losses(kind: Any, collator: Any, table: Any, model: Path, out: Path, *, lora: bool) -> Any:
    trainer = kind(
        model=str(model),
        args=DPOConfig(
            output_dir=str(out),
            max_length=None,
            learning_rate=1e-3,
            per_device_train_batch_size=4,
            max_steps=5,
            logging_steps=1,
            bf16=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=table,
        data_collator=collator,
        processing_class=collator.processor,
        peft_config=LoraConfig(target_modules=r".*language_model.*_proj") if lora else None,
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("lora", [True, False], ids=["adapter", "all weights"])
def test_weight_1_is_plain_dpo_step_for_step(
    table: Any, processor: Any, model: Path, tmp_path: Path, lora: bool
) -> None:
    plain = losses(
        DPOTrainer, DataCollatorForVisionPreference(processor), table, model, tmp_path, lora=lora
    )
    dense = losses(DenseDPOTrainer, DenseCollator(processor), table, model, tmp_path, lora=lora)
    assert len(plain) == 5
    assert plain[-1] < plain[0]
    assert dense == plain


def test_above_1_it_starts_alike_and_learns_otherwise(
    table: Any, processor: Any, model: Path, tmp_path: Path
) -> None:
    plain, dense = (
        losses(
            DenseDPOTrainer,
            DenseCollator(processor, weight=weight),
            table,
            model,
            tmp_path,
            lora=True,
        )
        for weight in (1.0, 5.0)
    )
    assert dense[0] == pytest.approx(plain[0], abs=1e-5)
    assert dense[1:] != pytest.approx(plain[1:], abs=1e-3)


def test_weights_stand_on_the_words_that_differ(table: Any, processor: Any) -> None:
    row = next(row for row in table if "shows nothing" in row["chosen"])
    batch = DenseCollator(processor, weight=5.0)([row])
    heavy = [
        processor.tokenizer.decode(ids[weights == 5])
        for ids, weights in zip(batch["input_ids"], batch["token_weights"], strict=True)
    ]
    assert heavy == [" nothing", " 12 percent"]
    mask = batch["completion_mask"].bool()
    assert torch.equal(batch["token_weights"] > 0, mask)
    assert set(batch["token_weights"][mask].tolist()) == {1.0, 5.0}


def test_what_is_common_is_found_in_long_texts_too() -> None:
    ids = [number % 7 for number in range(1000)]
    other = [*ids[:500], 99, *ids[501:]]
    assert changed(ids, other) == [number == 500 for number in range(1000)]
