"""What a model writes by itself before and after the training, word by word the likeliest.

A run can bring its loss down and leave every text as it was. This tells.
"""

from collections.abc import Sequence
from typing import Any

import torch

from iterdpo.config import Config

PROMPTS = 8
TOKENS = 64


def prompts_of(table: Any) -> list[dict[str, Any]]:
    """At most PROMPTS rows of a table that a trainer reads, evenly over it."""
    count = min(PROMPTS, len(table))
    return [table[index * len(table) // count] for index in range(count)]


def greedy_texts(trainer: Any, prompts: Sequence[dict[str, Any]]) -> list[str]:
    """How the trainer's model goes on behind each prompt, at most TOKENS tokens."""
    model, processor = trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class
    training = model.training
    model.eval()
    texts = []
    try:
        for row in prompts:
            asked = processor(
                text=[row["prompt"]],
                images=row["images"] or None,
                return_tensors="pt",
                add_special_tokens=False,
            ).to(model.device)
            with torch.no_grad(), trainer.accelerator.autocast():
                ids = model.generate(
                    **asked, max_new_tokens=TOKENS, do_sample=False, use_cache=True
                )
            written = ids[0, asked["input_ids"].shape[1] :]
            texts.append(processor.tokenizer.decode(written))
    finally:
        model.train(training)
    return texts


def greedy_facts(
    prompts: Sequence[dict[str, Any]], before: Sequence[str], after: Sequence[str], *, of: str
) -> dict[str, Any]:
    """For the report. of: which rows the prompts are. changed: prompts whose text is another."""
    return {
        "of": of,
        "prompts": len(prompts),
        "tokens": TOKENS,
        "changed": sum(one != other for one, other in zip(before, after, strict=True)),
        "texts": [
            {"pair_id": row["pair_id"], "before": one, "after": other}
            for row, one, other in zip(prompts, before, after, strict=True)
        ],
    }


def verdict(facts: dict[str, Any], config: Config) -> str:
    """What the run says of it."""
    changed, prompts = facts["changed"], facts["prompts"]
    if config.lora is None:
        trained, base = "model", "it did before"
    else:
        trained, base = "adapter", "its base"
    if changed:
        return f"The {trained} writes otherwise than {base} for {changed} of {prompts} prompts."
    return (
        f"The {trained} writes exactly as {base} for all {prompts} prompts ({TOKENS} tokens each): "
        f"the training changed too little. Raise training.learning_rate (it was "
        f"{config.learning_rate:g}) or training.epochs, or collect more pairs."
    )
