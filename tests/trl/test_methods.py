"""SFT alone, all weights, what a model writes before and after, and where a run reports to."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration, TrainerCallback
from transformers.integrations import INTEGRATION_TO_CALLBACK
from trl import SFTTrainer

from iterdpo.config import Config, read_config
from iterdpo.fitting import make_trainer
from iterdpo.preparation import prepare
from iterdpo.refusals import ConfigRefusal
from iterdpo.train import run
from tests.trl.annotated import written
from tests.trl.conftest import House
from tests.trl.test_exports import _composed

Write = Callable[..., Path]


@pytest.fixture
def write(house: House, model: Path, tmp_path: Path) -> Write:
    """Writes a configuration of a short run; keys of training are added."""

    def config(name: str = "run", *, training: dict[str, Any], **parts: Any) -> Path:
        path = tmp_path / f"{name}.yaml"
        content: dict[str, Any] = {
            "model": str(model),
            "output": name,
            "data": {"directory": str(house.export)},
            "training": {"effective_batch": 4, "device_batch": 2, "max_steps": 2}
            | {"gradient_checkpointing": False}
            | training,
        }
        path.write_text(yaml.safe_dump(content | parts), encoding="utf-8")
        return path

    return config


def report_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path.with_suffix("") / "report.json").read_text())
    return found


def silent(_text: str) -> None:
    """Says nothing."""


def test_sft_alone_learns_each_chosen_segment_and_nothing_else(house: House, write: Write) -> None:
    config = read_config(write(training={"losses": {"sft": 1}}))
    prepared = prepare(config, again=False, say=silent)
    trainer = make_trainer(config, prepared, silent)
    assert type(trainer) is SFTTrainer
    tokenizer = prepared.renderer.tokenizer
    rows = {row["pair_id"]: row for row in written(house.export / "metadata.jsonl")}
    left_out = prepared.facts["left_out"].get("the same chosen side under the same prefix", [])
    expected = sorted(_composed(rows[i]["chosen"]) for i in rows if i not in left_out)
    # The batches that the trainer itself makes, two rows at a time.
    learned = []
    for batch in trainer.get_train_dataloader():
        assert len(batch["input_ids"]) <= 2
        for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
            learned.append(tokenizer.decode(ids[labels != -100]))
    assert sorted(learned) == expected
    # What stands before the loss ends in the row's own prompt.
    for row in prepared.table:
        batch = trainer.data_collator([row])
        before = tokenizer.decode(batch["input_ids"][0][batch["labels"][0] == -100])
        prompt = rows[row["pair_id"]]["prompt"].rpartition("<|vision_end|>")[2]
        assert before.endswith(_composed(prompt))


def test_sft_alone_trains_and_reports_its_own_figures(write: Write) -> None:
    path = write(training={"losses": {"sft": 1}, "max_steps": 12, "learning_rate": 1e-2})
    said: list[str] = []
    run(path, say=said.append)
    training = report_of(path)["training"]
    assert training["steps"] == 12
    assert training["last"]["loss"] < training["first"]["loss"]
    assert "reward_margin" not in training["first"]
    assert 0 <= training["first"]["token_accuracy"] <= 1
    assert any(line.startswith("step 1/12  loss ") and "margin" not in line for line in said)


def test_all_weights_are_trained_at_their_own_rate_and_saved_as_a_model(
    model: Path, write: Write
) -> None:
    path = write(lora=None, training={})
    said: list[str] = []
    run(path, say=said.append)
    assert "2 steps of 4 pairs, learning rate 3e-06." in said
    report = report_of(path)
    assert report["training"]["first"]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    place = path.with_suffix("") / "model"
    assert report["trained_model"] == {"path": str(place)}
    AutoProcessor.from_pretrained(place)
    load = Qwen2_5_VLForConditionalGeneration.from_pretrained
    base = dict(load(model, dtype=torch.float32).named_parameters())
    moved = {
        name
        for name, weight in load(place, dtype=torch.float32).named_parameters()
        if not torch.equal(weight, base[name])
    }
    assert any("language_model" in name for name in moved)
    assert not any("visual" in name.split(".") for name in moved)


def test_a_whole_model_is_no_policy_that_can_be_registered(write: Write) -> None:
    path = write(lora=None, training={}, register={"name": "whole"})
    with pytest.raises(ConfigRefusal, match=r"--register is for adapters.*iterdpo worker --vllm"):
        run(path, register_after=True, say=silent)
    assert not path.with_suffix("").exists()


@pytest.mark.parametrize(
    ("rate", "said_of_it"),
    [
        (1e-9, "The adapter writes exactly as its base for all 8 prompts (64 tokens each): "),
        (1e-2, "The adapter writes otherwise than its base for "),
    ],
)
def test_a_run_says_whether_texts_have_changed(write: Write, rate: float, said_of_it: str) -> None:
    path = write(training={"learning_rate": rate, "max_steps": 6})
    said: list[str] = []
    run(path, say=said.append)
    (verdict,) = [line for line in said if line.startswith("The adapter writes")]
    assert verdict.startswith(said_of_it)
    greedy = report_of(path)["greedy"]
    assert (greedy["of"], greedy["prompts"], len(greedy["texts"])) == ("train", 8, 8)
    differing = [text for text in greedy["texts"] if text["before"] != text["after"]]
    assert greedy["changed"] == len(differing)
    assert bool(differing) is (rate > 1e-3)
    assert all(text["before"] for text in greedy["texts"])


def test_what_is_held_out_is_what_is_compared(house: House, write: Write) -> None:
    data = {"directory": str(house.export), "eval_share": 0.3}
    path = write(data=data, training={"max_steps": 1})
    run(path, say=silent)
    report = report_of(path)
    assert report["greedy"]["of"] == "held_out"
    assert report["greedy"]["prompts"] == min(8, report["data"]["held_out"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tensorbord", "transformers does not report to 'tensorbord', only to "),
        ("clearml", "clearml cannot be used: .*requires 'clearml'"),
    ],
)
def test_where_it_cannot_report_to_is_found_out_first(write: Write, name: str, said: str) -> None:
    path = write(training={"report_to": [name]})
    with pytest.raises(ConfigRefusal, match=rf"training\.report_to: {said}"):
        run(path, say=silent)
    assert not path.with_suffix("").exists()


def test_report_to_reaches_transformers(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[dict[str, float]] = []

    class Tracker(TrainerCallback):  # type: ignore[misc] # transformers has no types
        def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            logged.append(more["logs"])

    monkeypatch.setitem(INTEGRATION_TO_CALLBACK, "trackio", Tracker)
    run(write(training={"report_to": ["trackio"]}), say=silent)
    assert "rewards/margins" in logged[0]


def test_the_rate_follows_from_what_is_trained(write: Write) -> None:
    def rate(**parts: Any) -> float:
        training = parts.pop("training", {})
        found: Config = read_config(write(training=training, **parts))
        return found.learning_rate

    assert rate() == 2e-4
    assert rate(lora=None) == 3e-6
    assert rate(lora=None, training={"learning_rate": 1e-5}) == 1e-5
