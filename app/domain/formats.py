"""The rows and files in which trainers read pairs.

An export is right when the unmodified trainer puts its loss on exactly the segment: the prefix is
context in the same assistant turn, and only the end of an output is followed by end-of-turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from app.domain.prompts import END_OF_TURN, ChatPrompt, Template, render
from app.domain.trlfiles import trl_config, trl_readme

__all__ = ["Pair", "raw_row", "trl_config", "trl_readme", "trl_row"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A correction with all that a trainer needs.

    sample: its source id. images: SHA-256 of each, in order; image_files: their paths in an
    export. ends_output: the model stopped after the segment. position: 0-based, in segments.
    policy: the model that wrote the rejected side, None if unknown. created_at: aware.
    Raises ValueError when a side is empty, both are equal, or images and files differ in number.
    """

    pair_id: int
    project: str
    sample: str
    images: tuple[str, ...]
    image_files: tuple[str, ...]
    instruction: str
    prefix: str
    chosen: str
    rejected: str
    ends_output: bool
    on_policy: bool
    position: int
    annotator: str
    policy: str | None
    kind: str
    created_at: datetime

    def __post_init__(self) -> None:
        # A trainer takes an empty side silently and learns nothing from it.
        if not self.chosen or not self.rejected or self.chosen == self.rejected:
            raise ValueError(f"Pair {self.pair_id} needs two different texts, neither empty.")
        if len(self.images) != len(self.image_files):
            raise ValueError(f"Pair {self.pair_id} needs one file for each image.")
        if self.created_at.tzinfo is None:
            raise ValueError(f"Pair {self.pair_id} needs a time with its zone.")


def trl_row(pair: Pair, template: Template) -> dict[str, object]:
    """The pair in TRL's standard format, rendered with the model's template.

    The columns up to "rejected" are the trainer's, it drops the others; those let a script render
    the row for another model. No value is null: the imagefolder loader of datasets refuses it.
    segment: 1-based.
    """
    prompt = ChatPrompt("", pair.images, pair.instruction, pair.prefix)
    end = END_OF_TURN if pair.ends_output else ""
    return {
        "images_file_names": list(pair.image_files),
        "prompt": render(prompt, template),
        "chosen": pair.chosen + end,
        "rejected": pair.rejected + end,
        "pair_id": str(pair.pair_id),
        "segment": pair.position + 1,
        "is_last": pair.ends_output,
        "n_images": len(pair.images),
        "instruction": pair.instruction,
        "prefix": pair.prefix,
        "segment_chosen": pair.chosen,
        "segment_rejected": pair.rejected,
        "kind": pair.kind,
        "on_policy": pair.on_policy,
        "annotator": pair.annotator,
        "policy": pair.policy or "",
        "created_at": _iso(pair.created_at),
    }


def raw_row(pair: Pair, image_url: Callable[[str], str]) -> dict[str, object]:
    """The pair as it is stored, without any model's template; image_url takes a SHA-256."""
    return {
        "pair_id": pair.pair_id,
        "project": pair.project,
        "sample": pair.sample,
        "images": [image_url(sha256) for sha256 in pair.images],
        "instruction": pair.instruction,
        "prefix": pair.prefix,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "ends_output": pair.ends_output,
        "on_policy": pair.on_policy,
        "position": pair.position,
        "kind": pair.kind,
        "annotator": pair.annotator,
        "policy": pair.policy,
        "created_at": _iso(pair.created_at),
    }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
