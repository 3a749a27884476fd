"""raw: pairs as they are stored, without any model's template, for scripts of one's own."""

from collections.abc import Mapping, Sequence

from app.domain.formats.rows import Row, Target, iso
from app.domain.formats.summary import Summary, readme
from app.domain.formats.values import Pair

FILE = "pairs.jsonl"


def rows(pair: Pair, target: Target) -> Sequence[Row]:
    """One row: the pair as it is stored. The target's renderer is not asked."""
    row: Row = {
        "pair_id": str(pair.pair_id),
        "project": pair.project,
        "sample": pair.sample,
        "images": target.images(pair.images, pair.image_files),
        **pair.context.to_json(),
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
        "created_at": iso(pair.created_at),
    }
    return (row,)


def companions(summary: Summary) -> Mapping[str, str]:
    """README.md."""
    about = f"""\
Each line of `{FILE}` is one corrected segment, without any model's template: `instruction`, the
`images` before it (paths in this folder), the text before the segment (`prefix`), and the segment
as `chosen` and `rejected`. `position` counts segments from 0. `system` is the system message and
`turns` the conversation before the instruction; each turn says how many characters of its content
come before each of its images. `image_places` says the same of the instruction; it is empty where
the images come first.
"""
    train = """\
These rows are for scripts that render them themselves. The prompt is the system message, the turns,
the images, the instruction and the prefix **in the assistant's own turn**; end-of-turn follows both
sides where `ends_output` is true, and nowhere else. The format `trl` is rendered and ready.
"""
    return {
        "README.md": readme(
            summary, title="preference pairs", about=about, train=train, templated=False
        )
    }
