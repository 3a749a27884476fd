"""parquet: the raw rows as a table, and the images once, in a table of their own.

Rows that hold their images would repeat each image in every row that shows it. Here the columns and
what the files say; app.exports.parquet writes them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC

from app.domain.formats.rows import Row, Target
from app.domain.formats.summary import Summary, quoted, readme
from app.domain.formats.values import Pair

FILE = "pairs.parquet"
IMAGES = "images.parquet"
# Column to type, in the words of Arrow; only policy may be null.
PAIR_COLUMNS = {
    "pair_id": "string",
    "project": "string",
    "sample": "string",
    "images": "list<string>",
    "context": "string",
    "instruction": "string",
    "prefix": "string",
    "chosen": "string",
    "rejected": "string",
    "ends_output": "bool",
    "on_policy": "bool",
    "position": "int32",
    "kind": "string",
    "annotator": "string",
    "policy": "string",
    "created_at": "timestamp[us, tz=UTC]",
}
IMAGE_COLUMNS = {"sha256": "string", "format": "string", "image": "binary"}
# Worth a dictionary: few values, many rows.
REPEATED = ("project", "sample", "images", "context", "instruction", "kind", "annotator", "policy")


def rows(pair: Pair, _target: Target) -> Sequence[Row]:
    """One row: its images are the keys of the table of images."""
    row: Row = {
        "pair_id": str(pair.pair_id),
        "project": pair.project,
        "sample": pair.sample,
        "images": list(pair.images),
        "context": pair.context.written(),
        "instruction": pair.instruction,
        "prefix": pair.prefix,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "ends_output": pair.ends_output,
        "on_policy": pair.on_policy,
        "position": pair.position,
        "kind": pair.kind,
        "annotator": pair.annotator,
        "policy": pair.policy,
        "created_at": pair.created_at.astimezone(UTC),
    }
    return (row,)


def companions(summary: Summary) -> Mapping[str, str]:
    """README.md."""
    about = f"""\
`{FILE}` has one row for each corrected segment, without any model's template: `instruction`,
`images` (SHA-256 each), the text before the segment (`prefix`), and the segment as `chosen` and
`rejected`. `position` counts segments from 0. `{IMAGES}` has each image once: `sha256`, `format`
and its bytes in `image`. Both are compressed with zstd. `context` is a JSON object with the
`system` message, earlier `turns` and the places of images in the instruction, empty where there are
none.
"""
    pairs_path = quoted(f"{summary.folder}/{FILE}")
    images_path = quoted(f"{summary.folder}/{IMAGES}")
    train = f"""\
These rows are for scripts that render them themselves. The prompt is the images, the instruction
and the prefix **in the assistant's own turn**; end-of-turn follows both sides where `ends_output`
is true, and nowhere else. The format `trl` is rendered and ready.

```python
from datasets import Image, load_dataset

pairs = load_dataset("parquet", data_files={pairs_path}, split="train")
images = load_dataset("parquet", data_files={images_path}, split="train")
images = images.cast_column("image", Image())
place = {{sha256: number for number, sha256 in enumerate(images["sha256"])}}

row = pairs[0]
shown = [images[place[sha256]]["image"] for sha256 in row["images"]]
```
"""
    return {
        "README.md": readme(
            summary, title="preference pairs", about=about, train=train, templated=False
        )
    }
