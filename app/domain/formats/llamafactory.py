"""llamafactory: sharegpt rows for a LLaMA-Factory as it is installed.

Its templates cannot leave the prefix out of the loss nor the end-of-turn off a segment, so both
sides hold the prefix: it cancels in a loss of the difference of rewards (sigmoid, hinge), and
end-of-turn is learned after every segment. `llamafactory-exact` has neither flaw.
"""

import json
from collections.abc import Mapping, Sequence

from app.domain.formats.rows import Row, Target, tagged, without_tags
from app.domain.formats.summary import NORMALISED, Summary, quoted, readme
from app.domain.formats.values import Pair

FILE = "pairs.jsonl"
DATASET = "iterdpo"
_ROLES = {"system": "system", "user": "human", "assistant": "gpt"}
# By the labels of the built-in renderers.
_TEMPLATES = {"qwen2.5-vl": "qwen2_vl", "qwen3-vl": "qwen3_vl_nothink"}


def rows(pair: Pair, target: Target) -> Sequence[Row]:
    """One row: the prefix stands in both answers. Raises Unheld for a text with a media tag."""
    row: Row = {
        "conversations": [
            {"from": _ROLES[role], "value": text} for role, text in tagged(pair.prompt)
        ],
        "chosen": {"from": "gpt", "value": without_tags(pair.prefix + pair.chosen)},
        "rejected": {"from": "gpt", "value": without_tags(pair.prefix + pair.rejected)},
        "images": target.images(pair.images, pair.image_files),
    }
    return (row,)


def companions(summary: Summary) -> Mapping[str, str]:
    """README.md, dataset_info.json and train.yaml, which is run where the folder stands."""
    template = _TEMPLATES.get(summary.renderer.label, "qwen2_vl")
    train = f"""\
Verified with LLaMA-Factory 0.9.5. Where this folder stands:

```sh
llamafactory-cli train {summary.folder}/train.yaml
```

`template` in train.yaml is LLaMA-Factory's own name for the model's format; `cutoff_len` must hold
the images, the instruction and the whole text, or rows are cut. Relative image paths count from
`dataset_dir`.

**What this format cannot do.** LLaMA-Factory puts its loss on the whole answer and closes every
answer with end-of-turn. With `pref_loss: sigmoid` or `hinge` the shared prefix cancels; it does not
with ipo, orpo or simpo, nor with `pref_ftx` above 0. The model learns end-of-turn after every
segment. Use `llamafactory-exact`, or TRL, where that matters.
"""
    about = """\
Each row is one corrected segment, with the text before it in front of both answers.
"""
    about += NORMALISED
    return {
        "README.md": readme(
            summary, title="preference pairs", about=about, train=train, templated=False
        ),
        "dataset_info.json": dataset_info(summary),
        "train.yaml": train_yaml(summary, template),
    }


def dataset_info(summary: Summary) -> str:
    """What LLaMA-Factory must know of the file; no column of images when no row has one."""
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
    if not summary.text_only:
        columns["images"] = "images"
    entry = {"file_name": FILE, "formatting": "sharegpt", "ranking": True, "columns": columns}
    return json.dumps({DATASET: entry}, indent=2) + "\n"


def train_yaml(summary: Summary, template: str) -> str:
    """A LoRA run, in the words of LLaMA-Factory's own examples."""
    return f"""model_name_or_path: {quoted(summary.renderer.model)}
template: {template}
stage: dpo
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
pref_beta: 0.1
pref_loss: sigmoid
dataset_dir: {quoted(summary.folder)}
dataset: {DATASET}
# Tokens of images, instruction, prefix and segment together; what is longer is cut.
cutoff_len: 32768
output_dir: out
per_device_train_batch_size: 1
gradient_accumulation_steps: 16
# An adapter's; all weights (finetuning_type: full) take 3.0e-6.
learning_rate: 1.0e-4
lr_scheduler_type: cosine
warmup_ratio: 0.1
num_train_epochs: 3.0
bf16: true
"""
