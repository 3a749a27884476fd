"""trl-jsonl: the rows of `trl` in one file, with the paths or addresses of their images.

For documents without images, and for images that lie elsewhere already.
"""

from collections.abc import Mapping, Sequence

from app.domain.formats.rows import Row, Target
from app.domain.formats.summary import Summary, quoted, readme
from app.domain.formats.trl import LENGTH, pair_columns
from app.domain.formats.values import Pair

FILE = "pairs.jsonl"


def rows(pair: Pair, target: Target) -> Sequence[Row]:
    """One row: the images, and the columns of `trl`."""
    images = target.images(pair.images, pair.image_files)
    return ({"images": images} | pair_columns(pair, target.renderer),)


def companions(summary: Summary) -> Mapping[str, str]:
    """README.md and dpo.yaml, which is run inside the folder: its rows name images from there."""
    return {"README.md": _readme(summary), "dpo.yaml": _config(summary)}


def _config(summary: Summary) -> str:
    return f"""# Run inside this folder: trl dpo --config dpo.yaml
model_name_or_path: {quoted(summary.renderer.model)}
datasets:
  - path: json
    data_files: {FILE}
output_dir: out
# TRL's default of 1024 tokens silently cuts the segments off: no gradient, no error.
max_length: null
beta: 0.1
per_device_train_batch_size: 1
gradient_accumulation_steps: 16
"""


def _readme(summary: Summary) -> str:
    about = f"""\
Each line of `{FILE}` is one corrected segment. `prompt` holds the images' places, the instruction
and the text before the segment, in the model's own format; `chosen` and `rejected` are the segment
alone. So the unmodified trainer puts its loss on exactly the segment. `images` are paths in this
folder.
"""
    folder = quoted(f"{summary.folder}/")
    cast = (
        ""
        if summary.text_only
        else f"""
# JSON has no images, only paths: say where they lie, and that they are images.
rows = rows.map(
    lambda paths: {{"images": [{folder} + path for path in paths]}}, input_columns="images"
).cast_column("images", List(Image()))
"""
    )
    names = "load_dataset" if summary.text_only else "Image, List, load_dataset"
    train = f"""\
Needs TRL >= 0.29.0 and datasets >= 4.0.0.

```python
from datasets import {names}
from trl import DPOConfig, DPOTrainer

rows = load_dataset("json", data_files={quoted(f"{summary.folder}/{FILE}")}, split="train")
{cast}trainer = DPOTrainer(
    model={quoted(summary.renderer.model)},
    args=DPOConfig(
        output_dir="out",
        max_length=None,
        beta=0.1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=16,
    ),
    train_dataset=rows,
)
trainer.train()
```

Or without code, **inside this folder**: `trl dpo --config dpo.yaml`. There TRL reads the paths
itself, relative to where it runs and with torchvision's decoder, which some builds lack. The format
`trl` needs neither.

{LENGTH}"""
    return readme(summary, title="preference pairs", about=about, train=train)
