"""kto: judgements of single segments, in TRL's unpaired format.

True: accepted as it stands. False: deleted, and nothing was written in its place.
"""

from collections.abc import Mapping, Sequence

from app.domain.formats.rows import Row, Target, iso
from app.domain.formats.summary import Summary, quoted, readme
from app.domain.formats.trl import FOLDER_RULE, LENGTH, NO_IMAGES, config, loading
from app.domain.formats.values import Judgement


def rows(judgement: Judgement, target: Target) -> Sequence[Row]:
    """One row; the columns up to "label" are the trainer's. segment: 1-based."""
    end = target.renderer.end_of_turn if judgement.ends_output else ""
    row: Row = {
        "images_file_names": target.images(judgement.images, judgement.image_files),
        "prompt": target.renderer.render(judgement.prompt),
        "completion": judgement.text + end,
        "label": judgement.accepted,
        "judgement_id": judgement.judgement_id,
        "segment": judgement.position + 1,
        "is_last": judgement.ends_output,
        "n_images": len(judgement.images),
        "instruction": judgement.instruction,
        "context": judgement.context.written(),
        "prefix": judgement.prefix,
        "segment_completion": judgement.text,
        "paired": judgement.paired,
        "on_policy": judgement.on_policy,
        "annotator": judgement.annotator,
        "policy": judgement.policy or "",
        "created_at": iso(judgement.created_at),
    }
    return (row,)


def companions(summary: Summary) -> Mapping[str, str]:
    """README.md and kto.yaml, which is kept in the folder and run where the folder stands."""
    desirable, undesirable = weights(summary)
    more = f"""desirable_weight: {desirable}
undesirable_weight: {undesirable}
"""
    yaml = config("kto", summary, more).replace(
        "per_device_train_batch_size: 1\ngradient_accumulation_steps: 16",
        "per_device_train_batch_size: 2\ngradient_accumulation_steps: 8",
    )
    return {"README.md": _readme(summary, desirable, undesirable), "kto.yaml": yaml}


def weights(summary: Summary) -> tuple[float, float]:
    """Of accepted and rejected rows, so that both sides weigh the same in all."""
    accepted, rejected = summary.accepted, summary.rejected
    if not accepted or not rejected:
        return 1.0, 1.0
    if accepted > rejected:
        return 1.0, round(accepted / rejected, 2)
    return round(rejected / accepted, 2), 1.0


def _readme(summary: Summary, desirable: float, undesirable: float) -> str:
    about = """\
Each row is one segment that a model wrote and an annotator judged without writing another in its
place. `label` is true where it was accepted as it stands and false where it was deleted. `paired`
is true where the segment is also a side of a preference pair: filter on it before you train on
both.
"""
    train = f"""\
Needs TRL >= 1.0.0 and datasets >= 3.4.0.

```python
from datasets import load_dataset
from trl import KTOConfig, KTOTrainer

trainer = KTOTrainer(
    model={quoted(summary.renderer.model)},
    args=KTOConfig(
        output_dir="out",
        max_length=None,
        desirable_weight={desirable},
        undesirable_weight={undesirable},
        per_device_train_batch_size=2,
        gradient_accumulation_steps=8,
    ),
    train_dataset={loading(summary)},
)
trainer.train()
```

Or without code, where this folder stands: `trl kto --config {summary.folder}/kto.yaml`.

The batch must be larger than one: KTO estimates its reference point from the other rows of a batch.
The weights make up for unequal numbers of accepted and rejected rows.

{LENGTH}
{FOLDER_RULE}"""
    if summary.text_only:
        train += NO_IMAGES
    return readme(summary, title="judgements", about=about, train=train)
