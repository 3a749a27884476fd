"""Dense DPO: tokens that differ between the two sides count more (RLHF-V, arXiv 2312.00849).

A thin layer over the unmodified trainer: the collator adds a weight per token, and the trainer
scales log-probabilities by them. With weight 1 it is plain DPO, step for step. Unlike RLHF-V's own
code it does not divide by the sum of the weights: the length of a segment counts as in DPO.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import torch
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference


def changed(ids: Sequence[int], others: Sequence[int]) -> list[bool]:
    """Which of the ids are not common to both sequences."""
    marks = [False] * len(ids)
    # Without autojunk: in long texts it takes frequent tokens for noise.
    matcher = SequenceMatcher(None, ids, others, autojunk=False)
    for tag, start, end, _, _ in matcher.get_opcodes():
        if tag != "equal":
            marks[start:end] = [True] * (end - start)
    return marks


@dataclass
class DenseCollator(DataCollatorForVisionPreference):  # type: ignore[misc] # trl has no types
    """Adds token_weights: 0 outside the segment, `weight` where the sides differ, else 1."""

    weight: float = 1.0

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch of the unmodified collator, with the weights."""
        batch: dict[str, Any] = super().torch_call(examples)
        ids, mask = batch["input_ids"], batch["completion_mask"].bool()
        weights = mask.float()
        half = len(ids) // 2
        for chosen, rejected in zip(range(half), range(half, 2 * half), strict=True):
            for one, other in ((chosen, rejected), (rejected, chosen)):
                differs = changed(ids[one][mask[one]].tolist(), ids[other][mask[other]].tolist())
                weights[one, mask[one]] = torch.where(torch.tensor(differs), self.weight, 1.0)
        batch["token_weights"] = weights
        return batch


class DenseDPOTrainer(DPOTrainer):  # type: ignore[misc] # trl has no types
    """DPOTrainer over batches of a DenseCollator. Rewards and margins are weighted, as the loss."""

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        plain = {name: value for name, value in inputs.items() if name != "token_weights"}
        with self._scaling(inputs["token_weights"]):
            return super()._compute_loss(model, plain, return_outputs)

    @contextmanager
    def _scaling(self, weights: Any) -> Iterator[None]:
        """While this lasts, policy and reference give weighted log-probabilities."""

        def scale(_module: Any, _inputs: Any, outputs: Any) -> None:
            if getattr(outputs, "log_probs", None) is not None:
                # The token at a place is predicted one place before it.
                shifted = weights[:, 1:].to(outputs.log_probs)
                outputs.log_probs = outputs.log_probs * shifted

        models = [model for model in (self.model, self.ref_model) if model is not None]
        handles = [model.register_forward_hook(scale) for model in models]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
