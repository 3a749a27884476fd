"""The unmodified DPOTrainer puts its loss on exactly the segment, for every row of an export."""

import json
import math
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from PIL import Image
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from tests.trl.annotated import written
from tests.trl.conftest import House

END = "<|im_end|>"
OPEN = "<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def trainer(house: House, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """As the README of the export says; only the model is another."""
    place = tmp_path_factory.mktemp("trainer")
    return DPOTrainer(
        model=str(model),
        args=DPOConfig(
            output_dir=str(place),
            max_length=None,
            beta=0.1,
            per_device_train_batch_size=4,
            bf16=False,
            report_to="none",
        ),
        train_dataset=load_dataset(str(house.export), split="train", cache_dir=str(place)),
    )


@pytest.fixture(scope="module")
def batches(trainer: Any) -> dict[str, Any]:
    """What the trainer's own collator makes of each row, by pair id."""
    assert type(trainer.data_collator) is DataCollatorForVisionPreference
    return {row["pair_id"]: trainer.data_collator([row]) for row in trainer.train_dataset}


def test_the_project_has_what_makes_exports_hard(house: House) -> None:
    pairs = list(house.expected.values())
    assert len(pairs) == 11
    assert {len(pair.images) for pair in pairs} == {0, 1, 2, 4}
    assert any(not pair.prefix for pair in pairs)
    assert sum(pair.ends_output for pair in pairs) == 4
    assert any("📈" in pair.chosen for pair in pairs)
    assert any("谢谢" in pair.rejected for pair in pairs)
    # The prefix holds an earlier correction.
    assert any("Good morning" in pair.prefix and pair.ends_output for pair in pairs)


def test_the_export_holds_each_pair_once(house: House, batches: dict[str, Any]) -> None:
    ids = [row["pair_id"] for row in written(house.export / "metadata.jsonl")]
    assert sorted(ids) == sorted(house.expected)
    assert sorted(batches) == sorted(house.expected)


def test_the_loss_is_on_exactly_the_segment(
    house: House, trainer: Any, batches: dict[str, Any]
) -> None:
    for pair_id, pair in house.expected.items():
        end = END if pair.ends_output else ""
        texts = [_composed(pair.chosen + end), _composed(pair.rejected + end)]
        assert _under_loss(trainer, batches[pair_id]) == texts


def test_the_prefix_stands_in_the_same_turn(
    house: House, trainer: Any, batches: dict[str, Any]
) -> None:
    for pair_id, pair in house.expected.items():
        for before in _before_loss(trainer, batches[pair_id]):
            assert before.endswith(_composed(f"{pair.instruction}{END}\n{OPEN}{pair.prefix}"))
            assert before.count(OPEN) == 1


def test_the_images_are_those_of_the_row_in_their_order(
    house: House, trainer: Any, batches: dict[str, Any]
) -> None:
    processor = trainer.processing_class
    for pair_id, pair in house.expected.items():
        batch = batches[pair_id]
        if not pair.images:
            assert "pixel_values" not in batch
            continue
        shown = [Image.open(house.store.original(sha256, "png")) for sha256 in pair.images]
        # Chosen and rejected each bring them.
        alone = processor.image_processor(images=shown * 2, return_tensors="pt")
        assert torch.equal(batch["pixel_values"], alone["pixel_values"])
        assert torch.equal(batch["image_grid_thw"], alone["image_grid_thw"])
        tokens = int(alone["image_grid_thw"].prod(dim=1).sum()) // 4
        assert int((batch["input_ids"] == processor.image_token_id).sum()) == tokens


def test_every_row_starts_at_ln_2_and_has_a_gradient(trainer: Any, batches: dict[str, Any]) -> None:
    for pair_id, batch in batches.items():
        trainer.model.zero_grad()
        loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(batch))
        assert loss.item() == pytest.approx(math.log(2), abs=1e-6), pair_id
        loss.backward()
        norms = [p.grad.norm() for p in trainer.model.parameters() if p.grad is not None]
        assert torch.stack(norms).norm().item() > 1e-3, pair_id


def test_rows_of_all_kinds_train_together(trainer: Any) -> None:
    result = trainer.train()
    assert math.isfinite(result.training_loss)
    assert trainer.state.global_step == 3 * math.ceil(11 / 4)


def test_trl_trains_with_the_exported_dpo_yaml(house: House, model: Path, tmp_path: Path) -> None:
    trl = Path(sys.executable).with_name("trl")
    # Another model and place, and no GPU.
    override = ["--model_name_or_path", str(model), "--output_dir", str(tmp_path / "out")]
    override += ["--use_cpu", "True", "--logging_steps", "1"]
    done = subprocess.run(
        [trl, "dpo", "--config", "trl/dpo.yaml", *override, "--max_steps", "1"],
        cwd=house.export.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    state = json.loads((tmp_path / "out" / "checkpoint-1" / "trainer_state.json").read_text())
    assert state["log_history"][0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert state["log_history"][0]["grad_norm"] > 0


def _composed(text: str) -> str:
    """As Qwen's tokenizer takes a text in; nothing else about it may change."""
    return unicodedata.normalize("NFC", text)


def _under_loss(trainer: Any, batch: Any) -> list[str]:
    return [
        trainer.processing_class.tokenizer.decode(ids[mask.bool()])
        for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
    ]


def _before_loss(trainer: Any, batch: Any) -> Iterator[str]:
    rows = zip(batch["input_ids"], batch["completion_mask"], batch["attention_mask"], strict=True)
    for ids, mask, attention in rows:
        yield trainer.processing_class.tokenizer.decode(ids[attention.bool() & ~mask.bool()])
