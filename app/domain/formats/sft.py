"""sft: what annotators finished, to imitate: whole texts and the single segments they judged.

`outputs.jsonl` and `segments.jsonl` are TRL's prompt and completion, `sharegpt.jsonl` messages with
images for LLaMA-Factory and ms-swift.
"""

import json
from collections.abc import Mapping, Sequence

from app.domain.formats.rows import Row, Target, iso, tagged, without_tags
from app.domain.formats.summary import NORMALISED, Summary, quoted, readme
from app.domain.formats.values import WholeOutput

OUTPUTS = "outputs.jsonl"
SEGMENTS = "segments.jsonl"
SHAREGPT = "sharegpt.jsonl"


def output_rows(output: WholeOutput, target: Target) -> Sequence[Row]:
    """The whole text as one completion; end-of-turn only where its end is known."""
    row = _row(output, target, "", output.text, last=output.ends_output)
    return (row | {"segments": len(output.segments)},)


def segment_rows(output: WholeOutput, target: Target) -> Sequence[Row]:
    """A row for each segment that has a verdict, with the text before it in the prompt.

    verdict: "accepted" or "corrected". segment: 1-based.
    """
    rows: list[Row] = []
    prefix = ""
    for number, segment in enumerate(output.segments, start=1):
        if segment.verdict is not None:
            last = output.ends_output and number == len(output.segments)
            rows.append(
                _row(output, target, prefix, segment.text, last=last)
                | {
                    "segment": number,
                    "verdict": segment.verdict.value,
                    "origin": segment.origin.value,
                }
            )
        prefix += segment.text
    return rows


def sharegpt_rows(output: WholeOutput, target: Target) -> Sequence[Row]:
    """The whole text as messages; none for a text whose end is not known, since trainers of
    messages close every answer. Raises Unheld for a text with a media tag."""
    if not output.ends_output:
        return ()
    asked = [{"role": role, "content": text} for role, text in tagged(output.prompt(""))]
    answer = {"role": "assistant", "content": without_tags(output.text)}
    row: Row = {
        "messages": [*asked, answer],
        "images": target.images(output.images, output.image_files),
    }
    return (row,)


def _row(output: WholeOutput, target: Target, prefix: str, text: str, *, last: bool) -> Row:
    renderer = target.renderer
    return {
        "images": target.images(output.images, output.image_files),
        "prompt": renderer.render(output.prompt(prefix)),
        "completion": text + (renderer.end_of_turn if last else ""),
        "draft_id": str(output.draft_id),
        "sample": output.sample,
        "is_last": last,
        "n_images": len(output.images),
        "annotator": output.annotator,
        "finished_at": iso(output.finished_at),
    }


def companions(summary: Summary) -> Mapping[str, str]:
    """README.md, and dataset_info.json for LLaMA-Factory."""
    return {"README.md": _readme(summary), "dataset_info.json": _dataset_info(summary)}


def _dataset_info(summary: Summary) -> str:
    columns = {"messages": "messages"}
    if not summary.text_only:
        columns["images"] = "images"
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    }
    entry = {"file_name": SHAREGPT, "formatting": "sharegpt", "columns": columns, "tags": tags}
    return json.dumps({"iterdpo_sft": entry}, indent=2) + "\n"


def _readme(summary: Summary) -> str:
    about = f"""\
| file | rows | for |
| --- | --- | --- |
| `{OUTPUTS}` | whole finished texts | TRL |
| `{SEGMENTS}` | each accepted or corrected segment, the text before it in the prompt | TRL |
| `{SHAREGPT}` | whole finished texts as messages | LLaMA-Factory, ms-swift |

Take one of them: they hold the same texts. A completion ends in end-of-turn only where the end of
the text is known; a text that was cut off is not in `{SHAREGPT}`, whose trainers close every
answer. Nor is a text with `<image>`, `<video>` or `<audio>` in it, which they take for the place of
one.
"""
    about += NORMALISED
    folder = quoted(f"{summary.folder}/")
    names, cast = "load_dataset", ""
    if not summary.text_only:
        names = "Image, List, load_dataset"
        cast = f"""
# JSON has no images, only paths: say where they lie, and that they are images.
rows = rows.map(
    lambda paths: {{"images": [{folder} + path for path in paths]}}, input_columns="images"
).cast_column("images", List(Image()))
"""
    train = f"""\
With TRL >= 0.29.0 and datasets >= 4.0.0:

```python
from datasets import {names}
from trl import SFTConfig, SFTTrainer

rows = load_dataset("json", data_files={quoted(f"{summary.folder}/{SEGMENTS}")}, split="train")
# Only what people wrote themselves; leave the line out for the accepted segments too.
rows = rows.filter(lambda verdict: verdict == "corrected", input_columns="verdict")
{cast}trainer = SFTTrainer(
    model={quoted(summary.renderer.model)},
    args=SFTConfig(output_dir="out", max_length=None, per_device_train_batch_size=1),
    train_dataset=rows,
)
trainer.train()
```

**Keep `max_length=None`**: TRL's default of 1024 tokens cuts long rows off without an error.

With LLaMA-Factory: `stage: sft`, `dataset_dir: {summary.folder}`, `dataset: iterdpo_sft`. With
ms-swift, inside this folder: `swift sft --dataset {SHAREGPT}`.
"""
    return readme(summary, title="outputs", about=about, train=train)
