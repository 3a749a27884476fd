"""llamafactory-exact: the loss on exactly the segment, in LLaMA-Factory.

The rows are rendered with the model's chat template, and a launcher registers a LLaMA-Factory
template that adds nothing to them: no roles, no end-of-turn.
"""

from collections.abc import Mapping, Sequence

from app.domain.formats.llamafactory import dataset_info, train_yaml
from app.domain.formats.rows import Row, Target, tagged, without_tags
from app.domain.formats.summary import NORMALISED, Summary, quoted, readme
from app.domain.formats.values import Pair

_NAME = "iterdpo_segment"
_PLUGINS = {"qwen3-vl": "qwen3_vl"}


def rows(pair: Pair, target: Target) -> Sequence[Row]:
    """One row: the human turn is the rendered prompt with the prefix, each answer the segment.

    Raises Unheld for a text with a media tag.
    """
    renderer = target.renderer
    # The images' tags become what the template writes for them, so the rest must have none.
    tagged(pair.prompt)
    without_tags(pair.prefix)
    prompt = renderer.render(pair.prompt)
    end = renderer.end_of_turn if pair.ends_output else ""
    row: Row = {
        "conversations": [
            {"from": "human", "value": prompt.replace(renderer.image_placeholder, "<image>")}
        ],
        "chosen": {"from": "gpt", "value": without_tags(pair.chosen) + end},
        "rejected": {"from": "gpt", "value": without_tags(pair.rejected) + end},
        "images": target.images(pair.images, pair.image_files),
    }
    return (row,)


def companions(summary: Summary) -> Mapping[str, str]:
    """README.md, launch.py, dataset_info.json and train.yaml."""
    about = """\
Each row is one corrected segment. The human turn holds the images' places, the instruction and the
text before the segment, in the model's own format; the answers are the segment alone, and only the
last one of an output ends in end-of-turn. LLaMA-Factory's own templates would add roles and
end-of-turn to that, so `launch.py` registers one that adds nothing, and then trains.
"""
    about += NORMALISED
    train = f"""\
Verified with LLaMA-Factory 0.9.5. Where this folder stands:

```sh
python {summary.folder}/launch.py {summary.folder}/train.yaml
```

`llamafactory-cli train` would not know the template. `cutoff_len` in train.yaml must hold the
images, the instruction, the prefix and the segment, or rows are cut. Relative image paths count
from `dataset_dir`.
"""
    return {
        "README.md": readme(summary, title="preference pairs", about=about, train=train),
        "dataset_info.json": dataset_info(summary),
        "launch.py": _launcher(summary),
        "train.yaml": train_yaml(summary, _NAME),
    }


def _launcher(summary: Summary) -> str:
    renderer = summary.renderer
    plugin = _PLUGINS.get(renderer.label, "qwen2_vl")
    return f'''"""LLaMA-Factory, for rows that are rendered already: python launch.py train.yaml."""

from llamafactory.data.formatter import StringFormatter
from llamafactory.data.mm_plugin import get_mm_plugin
from llamafactory.data.template import register_template
from llamafactory.train.tuner import run_exp

AS_IT_IS = StringFormatter(slots=["{{{{content}}}}"])

register_template(
    name="{_NAME}",
    format_user=AS_IT_IS,
    format_assistant=AS_IT_IS,
    stop_words=[{quoted(renderer.end_of_turn)}],
    replace_eos=True,
    mm_plugin=get_mm_plugin(
        name="{plugin}", image_token="<|image_pad|>", video_token="<|video_pad|>"
    ),
)

if __name__ == "__main__":
    run_exp()
'''
