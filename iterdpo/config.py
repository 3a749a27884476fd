"""The configuration of a run: a YAML file, checked key by key before anything is loaded."""

import os
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from iterdpo.refusals import ConfigRefusal

# An adapter starts at nothing and has few weights: it takes a rate that would ruin a whole model.
LORA_RATE = 2e-4
# LongWriter-V's, for all weights.
FULL_RATE = 3e-6

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=0.5)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Part):
    """Where the pairs come from: a studio (url and project) or an exported directory."""

    url: str | None = Field(None, description="The studio, as `https://studio.example`.")
    project: str | None = Field(None, description="The project's name there.")
    token_env: str = Field(
        "ITERDPO_TOKEN", description="The environment variable that holds the API token."
    )
    filters: dict[str, str | int | float | bool | date | list[str | int]] = Field(
        default_factory=dict,
        description="Query parameters of `GET /api/v1/pairs`, by their names.",
    )
    directory: Path | None = Field(
        None, description="An export for TRL, in place of url and project."
    )
    eval_share: Share = Field(
        0.0, description="About this share of the samples is kept aside to evaluate with."
    )
    max_tokens: Positive | None = Field(
        None, description="Rows longer than this, image tokens included, are left out and counted."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.directory is None) == (self.url is None):
            raise ValueError("give url and project, or directory")
        if self.url is not None and not self.project:
            raise ValueError("url needs a project")
        if self.directory is not None and self.filters:
            raise ValueError("filters are for a studio: an export was filtered when it was made")
        return self


class Lora(_Part):
    """The adapter."""

    rank: Positive = Field(16, description="16 is what vLLM serves without `--max-lora-rank`.")
    alpha: Positive = Field(32, description="The adapter is scaled by alpha / rank.")
    targets: str = Field(
        r".*language_model.*\.(q|k|v|o|gate|up|down)_proj",
        description="A regular expression of the layers; the vision tower stays as it is.",
    )

    @field_validator("targets")
    @classmethod
    def _compiles(cls, targets: str) -> str:
        try:
            re.compile(targets)
        except re.error as error:
            raise ValueError("is no regular expression") from error
        return targets


class Training(_Part):
    """How it learns. The defaults are LongWriter-V's (arXiv 2502.14834), but for rate and batch:
    its 3e-6 and 64 pairs a step are for all weights and move an adapter by nothing."""

    learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="At its highest; None: `2e-4` for an adapter, `3e-6` for all weights.",
    )
    beta: Annotated[float, Field(gt=0)] = Field(
        0.1, description="How close the policy stays to the reference model."
    )
    effective_batch: Positive | None = Field(
        None,
        description="Pairs per step, over all devices; None: at most 64, and so few that there are "
        "`min_steps` steps.",
    )
    min_steps: Positive = Field(
        30, description="A run of fewer steps is refused, unless `max_steps` asks for them."
    )
    device_batch: Positive = Field(1, description="Pairs at a time on one device.")
    epochs: Annotated[float, Field(gt=0)] = Field(3.0, description="Times over the data.")
    max_steps: Positive | None = Field(None, description="Stop after so many steps.")
    scheduler: str = Field("cosine", description="A scheduler of transformers, by its name.")
    warmup: Share = Field(0.1, description="The share of the steps in which the rate rises.")
    losses: dict[str, float] = Field(
        default_factory=lambda: {"sigmoid": 1.0},
        description="TRL's losses with their weights; `{sigmoid: 1, sft: 0.1}` adds SFT, "
        "`{sft: 1}` is SFT alone.",
        min_length=1,
    )
    changed_weight: Annotated[float, Field(ge=1)] = Field(
        1.0,
        description="Dense DPO (RLHF-V): what the tokens that differ between the sides count; "
        "1 is plain DPO.",
    )
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="auto: bfloat16 on a GPU that has it, else float32."
    )
    attention: str | None = Field(
        None, description="An attention of transformers, as `flash_attention_2`."
    )
    gradient_checkpointing: bool = Field(
        True, description="Less memory, more time: activations are computed twice."
    )
    max_pixels: Positive | None = Field(
        None,
        description="Images are scaled down to this many; None: as the model's processor does.",
    )
    save_steps: Positive = Field(50, description="A checkpoint after every so many steps.")
    report_to: list[str] = Field(
        default_factory=list,
        description="Where transformers reports too: `[trackio]`, `[wandb]`, `[tensorboard]`.",
    )
    log_steps: Positive = Field(1, description="Figures after every so many steps.")
    seed: int = Field(42, ge=0, description="Of the order of the rows and the adapter's start.")

    @property
    def imitates(self) -> bool:
        """Whether it is SFT alone: no rejected side, no reference model."""
        return set(self.losses) == {"sft"}

    @model_validator(mode="after")
    def _sft_alone(self) -> Self:
        if self.imitates and self.losses["sft"] != 1:
            raise ValueError("losses: sft alone weighs 1, since no other loss is beside it")
        if self.imitates and self.changed_weight != 1:
            raise ValueError("changed_weight is for losses that compare two sides; sft has one")
        return self


class Register(_Part):
    """The policy that `--register` makes of the adapter."""

    name: str = Field(description="The policy's name, for ever.")
    project: str | None = Field(
        None, description="Whose pairs it learned from; data.project if None."
    )
    url: str | None = Field(None, description="The studio; data.url if None.")
    token_env: str | None = Field(None, description="As in data, with `policies:write`.")
    base_model: str | None = Field(
        None, description="The base model as the workers name it; `model` if None."
    )
    adapter: str | None = Field(
        None,
        description="The adapter's directory as the model server sees it, if it is another there.",
    )
    round: Annotated[int, Field(ge=0)] | None = Field(
        None, description="The round of IterDPO; one more than the base model's latest if None."
    )


class Config(_Part):
    """A whole run."""

    model: str = Field(description="The base model: a name on the hub, or a directory.")
    revision: str = Field("main", description="The revision on the hub.")
    output: Path = Field(description="A directory for the adapter, checkpoints and report.")
    data: Data
    lora: Lora | None = Field(
        default_factory=Lora,
        description="The adapter; `null` trains all weights of the language model instead.",
    )
    training: Training = Field(default_factory=Training)
    register_as: Register | None = Field(None, alias="register")

    @property
    def learning_rate(self) -> float:
        """The rate at its highest."""
        given = self.training.learning_rate
        return given if given is not None else FULL_RATE if self.lora is None else LORA_RATE


def read_config(path: Path) -> Config:
    """The file's configuration; relative paths in it count from where the file stands.

    Raises ConfigRefusal that names every key that is wrong.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigRefusal(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigRefusal(f"{path} is no YAML: {error}") from error
    if not isinstance(given, dict):
        raise ConfigRefusal(f"{path} holds no keys.")
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        wrong = [_complaint(dict(fault)) for fault in error.errors()]
        raise ConfigRefusal("\n".join(wrong)) from error
    return _anchored(config, path.absolute().parent)


def token_of(variable: str) -> str:
    """The API token in that environment variable. Raises ConfigRefusal without one."""
    token = os.environ.get(variable, "").strip()
    if not token:
        raise ConfigRefusal(
            f"The environment variable {variable} holds no API token "
            "(make one: iterdpo token create NAME --scope pairs:read)."
        )
    return token


def _complaint(fault: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "there is no such key"
    elif fault["type"] == "missing":
        message = "is missing"
    return f"{key}: {message}"


def _anchored(config: Config, place: Path) -> Config:
    directory = config.data.directory
    data = config.data
    if directory is not None:
        data = data.model_copy(update={"directory": place / directory.expanduser()})
    model = place / Path(config.model).expanduser()
    return config.model_copy(
        update={
            "output": place / config.output.expanduser(),
            "data": data,
            # A name on the hub and a relative directory look the same; what exists decides.
            "model": str(model) if model.is_dir() else config.model,
        }
    )
