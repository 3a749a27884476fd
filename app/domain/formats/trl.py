"""trl: a directory that datasets loads and an unmodified DPOTrainer learns from.

Standard string rows, rendered with the model's chat template: the prefix is context in the same
assistant turn, the completion is the segment alone, and the trainer's mask is the completion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.domain.formats.rows import Row, Target, iso
from app.domain.formats.summary import Summary, quoted, readme
from app.domain.formats.values import Pair
from app.domain.prompts import Renderer, Template

FILE = "metadata.jsonl"
_TITLE = "preference pairs"
_ABOUT = """\
Each row is one corrected segment. `prompt` holds the images' places, the instruction and the text
before the segment, in the model's own format; `chosen` and `rejected` are the segment alone. So the
unmodified trainer puts its loss on exactly the segment.
"""
LENGTH = """\
**Keep `max_length=None`** (`max_length: null` in YAML). TRL's default of 1024 tokens cuts the
segment off long rows without an error: the loss stays at 0.693 and the gradient is zero. Bound
memory with the processor's `max_pixels`, or leave long rows out.
"""
FOLDER_RULE = """\
Keep the folder as it is: `metadata.jsonl` and the images. Another data file in it can make
datasets choose another loader, and the images are lost.
"""
_COLUMNS = f"""
## Columns

The trainer reads `images` (made from `images_file_names`), `prompt`, `chosen` and `rejected` and
drops the rest. `instruction`, `prefix`, `segment_chosen`, `segment_rejected`, `is_last` and
`n_images` let a script render the rows for a model with another template. So does `context`: a JSON
object with the `system` message, earlier `turns` and the places of images in the instruction, empty
where there are none. `on_policy` is true where the model itself wrote the rejected segment under
this prefix.

{FOLDER_RULE}"""


def rows(pair: Pair, target: Target) -> Sequence[Row]:
    """One row. Where images are addresses, and not files beside it, they stand under "images"."""
    if target.image is not None:
        images = target.images(pair.images, pair.image_files)
        return ({"images": images} | pair_columns(pair, target.renderer),)
    files = target.images(pair.images, pair.image_files)
    return (trl_row(replace(pair, image_files=tuple(files)), target.renderer),)


def trl_row(pair: Pair, renderer: Renderer) -> Row:
    """The pair in TRL's standard format, rendered with the model's template.

    The columns up to "rejected" are the trainer's, it drops the others; those let a script render
    the row for another model. No value is null: the imagefolder loader of datasets refuses it.
    segment: 1-based.
    """
    return {"images_file_names": list(pair.image_files)} | pair_columns(pair, renderer)


def pair_columns(pair: Pair, renderer: Renderer) -> Row:
    """The row without its images."""
    end = renderer.end_of_turn if pair.ends_output else ""
    return {
        "prompt": renderer.render(pair.prompt),
        "chosen": pair.chosen + end,
        "rejected": pair.rejected + end,
        "pair_id": str(pair.pair_id),
        "segment": pair.position + 1,
        "is_last": pair.ends_output,
        "n_images": len(pair.images),
        "instruction": pair.instruction,
        "context": pair.context.written(),
        "prefix": pair.prefix,
        "segment_chosen": pair.chosen,
        "segment_rejected": pair.rejected,
        "kind": pair.kind,
        "on_policy": pair.on_policy,
        "annotator": pair.annotator,
        "policy": pair.policy or "",
        "created_at": iso(pair.created_at),
    }


def companions(summary: Summary) -> Mapping[str, str]:
    """README.md and dpo.yaml, which is kept in the folder and run where the folder stands."""
    return {"README.md": _readme(summary), "dpo.yaml": config("dpo", summary)}


def loading(summary: Summary) -> str:
    """The call that loads the folder. Without any image its rows are plain JSON."""
    if summary.text_only:
        rows = quoted(f"{summary.folder}/{FILE}")
        return f'load_dataset("json", data_files={rows}, split="train")'
    return f'load_dataset({quoted(summary.folder)}, split="train")'


def config(command: str, summary: Summary, more: str = "") -> str:
    """The YAML for `trl COMMAND --config`; more: lines of its own."""
    return f"""\
# trl {command} --config {summary.folder}/{command}.yaml
model_name_or_path: {_model(summary.renderer)}
dataset_name: {quoted(summary.folder)}
output_dir: out
# TRL's default of 1024 tokens silently cuts the segments off: no gradient, no error.
max_length: null
{more or _BETA}per_device_train_batch_size: 1
gradient_accumulation_steps: 16
"""


_BETA = "beta: 0.1\n"


def _model(renderer: Renderer) -> str:
    # A hub's name reads as a plain word of YAML; a directory may hold anything.
    return renderer.model if isinstance(renderer, Template) else quoted(renderer.model)


def _readme(summary: Summary) -> str:
    train = f"""\
Needs TRL >= 0.29.0 and datasets >= 3.4.0.

```python
from datasets import load_dataset
from trl import DPOConfig, DPOTrainer

trainer = DPOTrainer(
    model={quoted(summary.renderer.model)},
    args=DPOConfig(
        output_dir="out",
        max_length=None,
        beta=0.1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=16,
    ),
    train_dataset={loading(summary)},
)
trainer.train()
```

Or without code, where this folder stands: `trl dpo --config {summary.folder}/dpo.yaml`.

{LENGTH}{_COLUMNS}"""
    if summary.text_only:
        train += NO_IMAGES
    return readme(summary, title=_TITLE, about=_ABOUT, train=train)


NO_IMAGES = """
## No images

No row here has an image, so the rows carry `"images": []` instead of
`images_file_names`: datasets reads them as plain JSON.
"""
