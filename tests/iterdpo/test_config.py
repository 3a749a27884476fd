"""The configuration of a run: every wrong key is named, and the docs tell them all."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from app.settings import ROOT
from iterdpo.config import Config, Data, Lora, Register, Training, read_config, token_of
from iterdpo.refusals import ConfigRefusal

LEAST = "model: m\noutput: out\ndata: {url: 'https://studio.example', project: lectures}\n"
DOCS = ROOT / "docs" / "training.md"


def config(place: Path, text: str) -> Config:
    path = place / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return read_config(path)


def test_the_least_that_a_run_needs(tmp_path: Path) -> None:
    found = config(tmp_path, LEAST)
    # LongWriter-V's settings.
    training = found.training
    assert (found.learning_rate, training.beta, training.effective_batch) == (2e-4, 0.1, None)
    assert (training.scheduler, training.warmup, training.epochs) == ("cosine", 0.1, 3)
    assert training.losses == {"sigmoid": 1.0}
    assert found.output == tmp_path / "out"
    assert found.model == "m"


def test_yaml_writes_small_numbers_as_text(tmp_path: Path) -> None:
    assert (
        config(tmp_path, LEAST + "training: {learning_rate: 5e-7}").training.learning_rate == 5e-7
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("trainning: {}", "trainning: there is no such key"),
        ("training: {lr: 1}", "training.lr: there is no such key"),
        ("training: {beta: 0}", "training.beta: Input should be greater than 0"),
        ("training: {epochs: many}", "training.epochs: Input should be a valid number"),
        ("training: {losses: {}}", "training.losses: Dictionary should have at least 1"),
        ("training: {changed_weight: 0.5}", "training.changed_weight: Input should be greater"),
        ("training: {losses: {sft: 0.5}}", "training: losses: sft alone weighs 1"),
        ("training: {losses: {sft: 1}, changed_weight: 3}", "training: changed_weight is for"),
        ("lora: {rank: 0}", "lora.rank: Input should be greater than or equal to 1"),
        ("lora: {targets: '(q'}", "lora.targets: is no regular expression"),
        ("register: {round: 2}", "register.name: is missing"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(ConfigRefusal) as refusal:
        config(tmp_path, LEAST + more)
    assert str(refusal.value).startswith(said)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{}", "data: give url and project, or directory"),
        ("{url: 'https://s', directory: x}", "data: give url and project, or directory"),
        ("{url: 'https://s'}", "data: url needs a project"),
        ("{directory: x, filters: {kind: insert}}", "data: filters are for a studio"),
    ],
)
def test_data_comes_from_one_place(tmp_path: Path, data: str, said: str) -> None:
    with pytest.raises(ConfigRefusal, match=re.escape(said)):
        config(tmp_path, f"model: m\noutput: o\ndata: {data}\n")


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefusal) as refusal:
        config(tmp_path, "output: o\ndata: {url: x, project: p, max_tokens: 0}\nlora: {a: 1}\n")
    assert [line.partition(":")[0] for line in str(refusal.value).splitlines()] == [
        "model",
        "data.max_tokens",
        "lora.a",
    ]


@pytest.mark.parametrize("text", ["", "- a list", "model: [", "\x00"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigRefusal, match=r"run\.yaml"):
        config(tmp_path, text)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefusal, match="No such file"):
        read_config(tmp_path / "none.yaml")


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    found = config(tmp_path, "model: tiny\noutput: out\ndata: {directory: trl}\n")
    assert found.model == str(tmp_path / "tiny")
    assert found.data.directory == tmp_path / "trl"


def test_the_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", " idp_x\n")
    assert token_of("MY_TOKEN") == "idp_x"
    monkeypatch.delenv("MY_TOKEN")
    with pytest.raises(ConfigRefusal, match="MY_TOKEN holds no API token"):
        token_of("MY_TOKEN")


def keys() -> Iterator[tuple[str, str, str]]:
    """Every key with its default and what the code says of it."""
    parts: list[tuple[str, type[BaseModel]]] = [
        ("", Config),
        ("data.", Data),
        ("lora.", Lora),
        ("training.", Training),
        ("register.", Register),
    ]
    for prefix, part in parts:
        for name, field in part.model_fields.items():
            if field.description is not None:
                yield f"{prefix}{field.alias or name}", _shown(field), field.description


def _shown(field: Any) -> str:
    value = field.default_factory() if field.default_factory else field.default
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return ""
    if isinstance(value, Lora):
        return "adapter"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {share:g}" for name, share in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_every_key_is_in_the_docs_with_its_default() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    shown = [(name, default.strip("`"), meaning) for name, default, meaning in rows]
    told = [(name, default.replace("|", "\\|"), meaning) for name, default, meaning in keys()]
    assert shown == told


def test_the_example_of_the_docs_is_a_configuration(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(examples) >= 2
    for example in examples:
        config(tmp_path, example)
