"""LLaMA-Factory, for rows that are rendered already: python launch.py train.yaml."""

from llamafactory.data.formatter import StringFormatter
from llamafactory.data.mm_plugin import get_mm_plugin
from llamafactory.data.template import register_template
from llamafactory.train.tuner import run_exp

AS_IT_IS = StringFormatter(slots=["{{content}}"])

register_template(
    name="iterdpo_segment",
    format_user=AS_IT_IS,
    format_assistant=AS_IT_IS,
    stop_words=["<|im_end|>"],
    replace_eos=True,
    mm_plugin=get_mm_plugin(
        name="qwen3_vl", image_token="<|image_pad|>", video_token="<|video_pad|>"
    ),
)

if __name__ == "__main__":
    run_exp()
