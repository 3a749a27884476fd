"""The two files that go with an export for TRL: what it holds and how to train on it."""

import json

from app.domain.prompts import Template

_MODELS = {
    Template.QWEN2_5_VL: "Qwen/Qwen2.5-VL-7B-Instruct",
    Template.QWEN3_VL: "Qwen/Qwen3-VL-8B-Instruct",
}


def trl_readme(
    *,
    template: Template,
    pairs: int,
    mid_document: int,
    last: int,
    with_images: int,
    without_images: int,
    images: int,
    folder: str = "trl",
) -> str:
    """README.md of an export in the folder of that name.

    pairs = mid_document + last = with_images + without_images; images: distinct files. It begins
    without a YAML header, which would make datasets read the folder as plain JSON.
    """
    rows = _quoted(f"{folder}/metadata.jsonl")
    load = (
        f'load_dataset({_quoted(folder)}, split="train")'
        if with_images or not pairs
        else f'load_dataset("json", data_files={rows}, split="train")'
    )
    return f"""# IterDPO preference pairs

| | |
| --- | --- |
| pairs | {pairs} |
| mid-document (no end-of-turn after the segment) | {mid_document} |
| last segment (ends in end-of-turn) | {last} |
| with images | {with_images} |
| without images | {without_images} |
| distinct images | {images} |
| chat template | {template.value} |

Each row is one corrected segment. `prompt` holds the images' places, the instruction and the text
before the segment, in the model's own format; `chosen` and `rejected` are the segment alone. So the
unmodified trainer puts its loss on exactly the segment.

## Train

Needs TRL >= 0.29.0 and datasets >= 3.4.0.

```python
from datasets import load_dataset
from trl import DPOConfig, DPOTrainer

trainer = DPOTrainer(
    model="{_MODELS[template]}",
    args=DPOConfig(
        output_dir="out",
        max_length=None,
        beta=0.1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=16,
    ),
    train_dataset={load},
)
trainer.train()
```

Or without code, where this folder stands: `trl dpo --config {folder}/dpo.yaml`.

**Keep `max_length=None`** (`max_length: null` in YAML). TRL's default of 1024 tokens cuts the
segment off long rows without an error: the loss stays at 0.693 and the gradient is zero. Bound
memory with the processor's `max_pixels`, or leave long rows out.

## Columns

The trainer reads `images` (made from `images_file_names`), `prompt`, `chosen` and `rejected` and
drops the rest. `instruction`, `prefix`, `segment_chosen`, `segment_rejected`, `is_last` and
`n_images` let a script render the rows for a model with another template. `on_policy` is true where
the model itself wrote the rejected segment under this prefix.

Keep the folder as it is: `metadata.jsonl` and the images. Another data file in it can make
datasets choose another loader, and the images are lost.
"""


def trl_config(template: Template, folder: str = "trl") -> str:
    """dpo.yaml, kept in the export's folder and run where that folder stands."""
    return f"""# trl dpo --config {folder}/dpo.yaml
model_name_or_path: {_MODELS[template]}
dataset_name: {_quoted(folder)}
output_dir: out
# TRL's default of 1024 tokens silently cuts the segments off: no gradient, no error.
max_length: null
beta: 0.1
per_device_train_batch_size: 1
gradient_accumulation_steps: 16
"""


def _quoted(text: str) -> str:
    # A JSON string is one in Python and in YAML too.
    return json.dumps(text, ensure_ascii=False)
