"""`iterdpo train`: over REST from a running server, from an export, interrupted, registered."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import yaml
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

from app.settings import ROOT
from iterdpo.config import read_config
from iterdpo.preparation import prepare
from iterdpo.refusals import TrainingRefusal
from iterdpo.train import run
from tests.trl.annotated import written
from tests.trl.conftest import House


@pytest.fixture
def write(house: House, model: Path, tmp_path: Path) -> Any:
    """Writes a configuration for that data; keys of training and others may be given."""

    def config(name: str = "run", *, training: dict[str, Any] | None = None, **parts: Any) -> Path:
        path = tmp_path / f"{name}.yaml"
        content: dict[str, Any] = {
            "model": str(model),
            "output": name,
            "data": {"directory": str(house.export)},
            "lora": {"rank": 4, "alpha": 8},
            "training": {"effective_batch": 4, "device_batch": 2, "epochs": 2, "min_steps": 1}
            | {"learning_rate": 3e-4, "gradient_checkpointing": False}
            | (training or {}),
        }
        path.write_text(yaml.safe_dump(content | parts), encoding="utf-8")
        return path

    return config


@pytest.fixture(autouse=True)
def token(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a configuration looks for it."""
    monkeypatch.setenv("ITERDPO_TOKEN", house.token)


def over_rest(house: House, **filters: Any) -> dict[str, Any]:
    return {"url": house.studio.url, "project": "lectures", "filters": filters}


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "app.cli", "train", *map(str, words)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def iterdpo_train(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def report_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path.with_suffix("") / "report.json").read_text())
    return found


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(
        path.with_suffix("") / "adapter" / "adapter_model.safetensors"
    )
    return found


def test_it_trains_over_rest_and_registers_its_adapter(
    house: House, model: Path, write: Any
) -> None:
    path = write(data=over_rest(house), register={"name": "lectures-round1"})
    done = iterdpo_train(path, "--register")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Registered the policy lectures-round1, round 1." in done.stdout
    report = report_of(path)
    assert report["data"]["pairs"] == 11
    assert report["data"]["left_out"] == {}
    assert report["training"]["steps"] == 2 * math.ceil(11 / 4)
    assert report["training"]["first"]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert report["training"]["last"]["loss"] < math.log(2) - 0.01
    assert report["training"]["last"]["reward_accuracy"] == 1.0
    assert report["training"]["last"]["reward_margin"] > 0
    assert house.token not in json.dumps(report)
    adapter = path.with_suffix("") / "adapter"
    base = Qwen2_5_VLForConditionalGeneration.from_pretrained(model)
    tuned = PeftModel.from_pretrained(base, adapter)
    layers = [name for name, _ in tuned.named_modules() if name.endswith("lora_A.default")]
    # Seven linear layers in each of two blocks of the language model, none of the vision tower.
    assert len(layers) == 14
    assert all("language_model" in name for name in layers)
    assert all(tensor.abs().sum() > 0 for tensor in weights_of(path).values())
    answer = httpx.get(
        f"{house.studio.url}/api/v1/policies", headers={"Authorization": f"Bearer {house.token}"}
    )
    policy = answer.json()["policies"][0]
    assert policy["name"] == "lectures-round1"
    assert policy["base_model"] == str(model)
    assert policy["adapter"] == str(adapter)
    assert policy["round"] == 1
    # Once more: nothing is trained, and the same policy is there already.
    said: list[str] = []
    run(path, register_after=True, say=said.append)
    assert said == ["Registered the policy lectures-round1, round 1."]
    # Another adapter under this name: refused before anything is trained.
    other = write("other", data=over_rest(house), register={"name": "lectures-round1"})
    with pytest.raises(TrainingRefusal, match="there is a policy named lectures-round1 already"):
        run(other, register_after=True, say=said.append)
    assert not (other.with_suffix("") / "run.json").exists()


def test_pulled_or_exported_the_same_rows_reach_the_trainer(house: House, write: Any) -> None:
    said: list[str] = []
    exported = prepare(read_config(write("exported")), again=False, say=said.append)
    config = read_config(write("pulled", data=over_rest(house)))
    pulled = prepare(config, again=False, say=said.append)
    assert exported.facts["hash"] == pulled.facts["hash"]
    for column in ("pair_id", "prompt", "chosen", "rejected"):
        assert exported.table[column][:] == pulled.table[column][:]
    # Rendered by the model's own processor as the export renders them without it.
    by_id = {row["pair_id"]: row for row in written(house.export / "metadata.jsonl")}
    for row in exported.table.remove_columns("images"):
        known = by_id[row["pair_id"]]
        assert row == {name: known[name] for name in row}


def test_check_trains_nothing(house: House, write: Any) -> None:
    path = write(data=over_rest(house))
    said: list[str] = []
    run(path, check=True, say=said.append)
    assert said[0] == f"Pulled 11 pairs of lectures from {house.studio.url}."
    assert "11 pairs to train on (4 end an output, 9 with images)" in said[1]
    assert "11 went through the trainer's collator" in said[1]
    assert said[2:] == [
        "6 steps of 4 pairs, learning rate 0.0003.",
        "Nothing was trained: --check.",
    ]
    assert not (path.with_suffix("") / "run.json").exists()
    assert not (path.with_suffix("") / "adapter").exists()


def test_an_interrupted_run_goes_on_to_the_same_adapter(write: Any) -> None:
    training = {"epochs": 10, "save_steps": 1000}
    whole, broken = write("whole", training=training), write("broken", training=training)
    run(whole, say=lambda _: None)
    with subprocess.Popen(
        command(broken),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            if line.startswith("step 3/"):
                process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, process.stderr.read()
        assert "it is saved" in process.stderr.read()
    assert not (broken.with_suffix("") / "report.json").exists()
    done = iterdpo_train(broken)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Going on from checkpoint-" in done.stdout
    assert "step 3/" not in done.stdout
    expected = weights_of(whole)
    for name, tensor in weights_of(broken).items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-7)
    one, other = report_of(whole)["training"], report_of(broken)["training"]
    assert [step["loss"] for step in one["history"]] == pytest.approx(
        [step["loss"] for step in other["history"]], abs=1e-6
    )


def test_a_directory_holds_one_run(write: Any) -> None:
    path = write(training={"max_steps": 1})
    run(path, say=lambda _: None)
    with pytest.raises(TrainingRefusal, match="holds a finished run"):
        run(path, say=lambda _: None)
    (path.with_suffix("") / "report.json").unlink()
    with pytest.raises(TrainingRefusal, match="holds a run with other training"):
        run(write(training={"max_steps": 2, "beta": 0.3}), say=lambda _: None)


@pytest.mark.parametrize("changed_weight", [1, 3], ids=["plain", "dense"])
def test_samples_that_are_held_out_are_not_trained_on(
    house: House, write: Any, changed_weight: int
) -> None:
    path = write(
        data={"directory": str(house.export), "eval_share": 0.3},
        training={"max_steps": 2, "changed_weight": changed_weight},
    )
    run(path, say=lambda _: None)
    report = report_of(path)
    assert report["data"]["pairs"] + report["data"]["held_out"] == 11
    assert report["data"]["held_out"] > 0
    assert report["training"]["held_out"]["loss"] < 1


def test_rows_that_are_too_long_are_left_out_and_named(house: House, write: Any) -> None:
    said: list[str] = []
    everything = prepare(read_config(write()), again=False, say=said.append)
    longest = everything.facts["tokens"]["longest"]
    path = write("short", data={"directory": str(house.export), "max_tokens": longest - 1})
    prepared = prepare(read_config(path), again=False, say=said.append)
    assert prepared.facts["pairs"] < 11
    ((reason, ids),) = prepared.facts["left_out"].items()
    assert reason == f"longer than {longest - 1} tokens"
    assert len(ids) == 11 - prepared.facts["pairs"]
    assert any(line.startswith(f"Left out {len(ids)}: longer than") for line in said)


def test_images_are_scaled_to_max_pixels(house: House, write: Any) -> None:
    full = prepare(read_config(write()), again=False, say=lambda _: None)
    path = write("small", training={"max_pixels": 4 * 28 * 28})
    small = prepare(read_config(path), again=False, say=lambda _: None)
    assert small.facts["tokens"]["all"] < full.facts["tokens"]["all"]


def test_the_help_answers_at_once() -> None:
    began = time.monotonic()
    done = iterdpo_train("--help")
    assert done.returncode == 0
    # Neither torch nor TRL is loaded for it.
    assert time.monotonic() - began < 5


def test_the_defaults_move_what_a_tiny_model_writes(
    house: House, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"model: {model}\noutput: run\ndata: {{directory: {house.export}}}\n")
    run(path, say=lambda _: None)
    assert report_of(path)["training"]["steps"] >= 30
    base = Qwen2_5_VLForConditionalGeneration.from_pretrained(model)
    tuned = PeftModel.from_pretrained(base, path.with_suffix("") / "adapter").eval()
    processor = AutoProcessor.from_pretrained(model)
    rows = written(house.export / "metadata.jsonl")[:8]

    def greedy() -> list[list[int]]:
        found = []
        for row in rows:
            shown = [Image.open(house.export / file) for file in row["images_file_names"]]
            asked = processor(text=[row["prompt"]], images=shown or None, return_tensors="pt")
            ids = tuned.generate(**asked, max_new_tokens=64, do_sample=False)
            found.append(ids[0].tolist())
        return found

    after = greedy()
    with tuned.disable_adapter():
        before = greedy()
    moved = sum(one != other for one, other in zip(before, after, strict=True))
    assert moved >= 1, moved


def test_too_few_steps_are_refused_with_their_number(house: House, write: Any) -> None:
    with pytest.raises(TrainingRefusal, match=r"2 epochs over 11 pairs, 4 a step, are 6 steps"):
        run(write(training={"min_steps": 30}), check=True, say=lambda _: None)
