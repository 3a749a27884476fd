"""What trainers make of rows of messages, as their documentation says it: the text before the loss,
the text under the loss, and the paths of the images in the order of their places.

Neither library is installed here. The rows in tests/domain/golden were shown to both; these rules
are held against the tokens that were seen there (test_other_trainers.py).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
END = "<|im_end|>"
PAD = "<|vision_start|><|image_pad|><|vision_end|>"
TAG = "<image>"


class Side(NamedTuple):
    """One answer as the trainer sees it."""

    before: str
    loss: str
    images: tuple[str, ...]


def ms_swift(row: dict[str, Any]) -> tuple[Side, Side]:
    """Chosen and rejected. Consecutive assistant messages are one turn; `loss` says which of its
    parts count, and `add_eos` whether end-of-turn follows the last of them."""
    user, *chosen = row["messages"]
    assert user["role"] == "user"
    head = f"{SYSTEM}<|im_start|>user\n{user['content']}{END}\n<|im_start|>assistant\n"
    return (
        _turn(head, chosen, row),
        _turn(head, row["rejected_response"], row),
    )


def _turn(head: str, parts: Sequence[dict[str, Any]], row: dict[str, Any]) -> Side:
    assert all(part["role"] == "assistant" for part in parts)
    flags = [part["loss"] for part in parts]
    # One place where the loss begins: whatever counts stands at the end of the turn.
    assert flags == sorted(flags)
    before = "".join(part["content"] for part in parts if not part["loss"])
    loss = "".join(part["content"] for part in parts if part["loss"])
    end = END if row["add_eos"] else ""
    return _with_images(head + before, loss + end, row["images"])


def llamafactory_exact(row: dict[str, Any]) -> tuple[Side, Side]:
    """Chosen and rejected: the launcher's template adds nothing to either turn."""
    (human,) = row["conversations"]
    assert human["from"] == "human"
    sides = [row[side] for side in ("chosen", "rejected")]
    assert all(side["from"] == "gpt" for side in sides)
    chosen, rejected = (
        _with_images(human["value"], side["value"], row["images"]) for side in sides
    )
    return chosen, rejected


def _with_images(before: str, loss: str, images: Sequence[str]) -> Side:
    """Each tag becomes the next image's place, wherever it stands."""
    assert (before + loss).count(TAG) == len(images)
    assert TAG not in loss
    return Side(before.replace(TAG, PAD), loss, tuple(images))
