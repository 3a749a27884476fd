"""ms-swift: messages with a loss flag each, and the end of the turn as a key of the row.

Consecutive assistant messages are joined to one turn, so the prefix is a message without loss.
"""

from collections.abc import Mapping, Sequence

from app.domain.formats.rows import Row, Target, tagged, without_tags
from app.domain.formats.summary import NORMALISED, Summary, quoted, readme
from app.domain.formats.values import Pair

FILE = "pairs.jsonl"


def rows(pair: Pair, target: Target) -> Sequence[Row]:
    """One row; the first segment has no prefix and so no message for it.

    Raises Unheld for a text with a media tag.
    """
    asked = [
        turn
        for role, text in tagged(pair.prompt)
        for turn in (
            _turn(text, loss=False) if role == "assistant" else [{"role": role, "content": text}]
        )
    ]
    # Joined to one turn, prefix and segment could make a tag that neither holds.
    without_tags(pair.prefix + pair.chosen)
    without_tags(pair.prefix + pair.rejected)
    before = _turn(pair.prefix, loss=False) if pair.prefix else []
    row: Row = {
        "messages": [*asked, *before, *_turn(pair.chosen, loss=True)],
        "rejected_response": [*before, *_turn(pair.rejected, loss=True)],
        "images": target.images(pair.images, pair.image_files),
        "add_eos": pair.ends_output,
    }
    return (row,)


def _turn(text: str, *, loss: bool) -> list[Row]:
    return [{"role": "assistant", "content": text, "loss": loss}]


def companions(summary: Summary) -> Mapping[str, str]:
    """README.md and train.sh, which is run from anywhere and works in the folder."""
    about = f"""\
Each line of `{FILE}` is one corrected segment. The text before it is an assistant message with
`"loss": false`, the segment one with `"loss": true`; ms-swift joins them to one turn. `add_eos` is
true where the output ends with the segment.
"""
    about += NORMALISED
    train = f"""\
Verified with ms-swift 4.6.0; one from before November 2025 does not know `add_eos`. It renders the
messages with its own template, which it finds by the model's name: for a directory of your own
add `--model_type` and `--template` (both `qwen2_5_vl` for Qwen2.5-VL).

```sh
sh {summary.folder}/train.sh
```

**Keep `--remove_unused_columns false`**: without it ms-swift drops `add_eos`, and end-of-turn is
learned after every segment. `--loss_scale last_round` leaves the loss to the flags of the last
turn. `max_length` must hold the images, the instruction, the prefix and the segment.

ms-swift reads relative image paths from where it is started, so `train.sh` changes into this
folder. To start it elsewhere, make the paths absolute, inside this folder:

```python
import json
from pathlib import Path

rows = [json.loads(line) for line in Path("{FILE}").open(encoding="utf-8")]
for row in rows:
    row["images"] = [str(Path(image).resolve()) for image in row["images"]]
Path("absolute.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
```
"""
    return {
        "README.md": readme(
            summary, title="preference pairs", about=about, train=train, templated=False
        ),
        "train.sh": _script(summary),
    }


def _script(summary: Summary) -> str:
    model = quoted(summary.renderer.model)
    return f"""#!/bin/sh
# Preference optimisation on the segments alone; see README.md.
# The learning rate is an adapter's; all weights (--tuner_type full) take 3e-6.
cd "$(dirname "$0")" || exit 1
exec swift rlhf --rlhf_type dpo \\
    --model {model} \\
    --dataset {FILE} \\
    --remove_unused_columns false \\
    --loss_scale last_round \\
    --max_length 32768 \\
    --truncation_strategy delete \\
    --beta 0.1 \\
    --learning_rate 1e-4 \\
    --per_device_train_batch_size 1 \\
    --gradient_accumulation_steps 16 \\
    --output_dir out
"""
