"""A model's own chat template renders rows, or is refused with what is wrong with it."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from app.domain.formats import Pair, trl_row
from app.domain.prompts import IMAGE_PLACEHOLDER, ChatPrompt, Template, render
from app.exports.model_template import ModelTemplate, load_template
from app.refusals import Invalid
from app.settings import ROOT
from tests.domain.export_items import PAIRS


def template_of_the_test_model() -> str:
    """What the tiny vision-language model of the vLLM tests is saved with."""
    source = (ROOT / "tests" / "vllm" / "server" / "make_tiny_vlm.py").read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CHAT_TEMPLATE":
            return str(ast.literal_eval(node.value))
    raise AssertionError("The test model has no chat template.")


QWEN = template_of_the_test_model()
# As small as a template can be that does everything right.
SMALL = """\
{%- for message in messages -%}
<turn {{ message.role }}>
{%- if message.content is string -%}{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'image' -%}<img>{%- else -%}{{ part.text }}{%- endif -%}
{%- endfor -%}
{%- endif -%}
<end>
{%- endfor -%}
{%- if add_generation_prompt -%}<turn assistant>{%- endif -%}"""
TOKENIZER = {
    "added_tokens_decoder": {
        "0": {"content": "<end>", "special": True},
        "1": {"content": "<think>", "special": False},
    },
    "eos_token": {"content": "<end>"},
    "bos_token": "<s>",
}


def model(folder: Path, template: str, **tokenizer: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "chat_template.jinja").write_text(template)
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER | tokenizer))
    return folder


def loaded(tmp_path: Path, template: str) -> ModelTemplate:
    return load_template(model(tmp_path / "tiny", template))


PROMPTS = [
    ChatPrompt("", ("a", "b"), "Describe.", "One.\n\n"),
    ChatPrompt("", (), "  Describe {{ this }}.\n", " \n"),
    ChatPrompt("Be brief.", ("a",), "请写讲稿。", "第一页：\r\n"),
    ChatPrompt("", ("a",), "Describe.", ""),
]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_test_models_template_renders_as_the_built_in_one(
    tmp_path: Path, prompt: ChatPrompt
) -> None:
    found = loaded(tmp_path, QWEN)
    assert found.render(prompt) == render(prompt, Template.QWEN2_5_VL)
    assert found.image_placeholder == IMAGE_PLACEHOLDER
    assert found.end_of_turn == "<|im_end|>"


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: str(pair.pair_id))
def test_a_row_is_the_same_with_either(tmp_path: Path, pair: Pair) -> None:
    assert trl_row(pair, loaded(tmp_path, QWEN)) == trl_row(pair, Template.QWEN2_5_VL)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_another_family_is_rendered_its_own_way(tmp_path: Path, prompt: ChatPrompt) -> None:
    found = loaded(tmp_path, SMALL)
    system = f"<turn system>{prompt.system}<end>" if prompt.system else ""
    images = "<img>" * len(prompt.images)
    assert found.render(prompt) == (
        f"{system}<turn user>{images}{prompt.instruction}<end><turn assistant>{prompt.prefix}"
    )
    assert (found.end_of_turn, found.image_placeholder) == ("<end>", "<img>")
    assert (found.label, found.model) == ("tiny", str(tmp_path / "tiny"))


def test_special_strings_are_the_tokenizers_and_the_built_in_ones(tmp_path: Path) -> None:
    folder = model(tmp_path / "tiny", SMALL)
    (folder / "tokenizer.json").write_text(
        json.dumps({"added_tokens": [{"content": "<img>", "special": True}]})
    )
    found = load_template(folder).special_strings
    assert {"<end>", "<img>", "<s>", "<|im_end|>"} <= set(found)
    assert "<think>" not in found


def test_templates_may_use_what_transformers_gives_them(tmp_path: Path) -> None:
    template = SMALL.replace(
        "{%- for message in messages -%}",
        "{{ bos_token }}{{ {'a': '<é>'} | tojson }}{{ strftime_now('%Y')[:2] }}"
        "{% for n in range(9) %}{% if n == 2 %}{% break %}{% endif %}{{ n }}{% endfor %}"
        "{%- for message in messages -%}",
    ).replace("{{ message.content }}", "{% generation %}{{ message.content }}{% endgeneration %}")
    rendered = loaded(tmp_path, template).render(ChatPrompt("", (), "Hi.", ""))
    assert rendered == '<s>{"a": "<é>"}2001<turn user>Hi.<end><turn assistant>'


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (SMALL.replace("{{ message.content }}", "{{ message.content | trim }}"), "trims answers"),
        (SMALL.replace("{{ part.text }}", "{{ part.text | trim }}"), "changes this text"),
        (SMALL.replace("<img>", ""), "shows no images"),
        (SMALL.replace("<img>", "<img{{ loop.index }}>"), "shows no images"),
        ("{{ messages }}", "shows no images"),
        ("{{ messages[0].content + '' }}", "cannot be rendered"),
        ("{% if %}", "cannot be read"),
        ("{{ raise_exception('Roles must alternate.') }}", "Roles must alternate"),
        ("{{ messages.append(1) }}", "cannot be rendered"),
        (SMALL.replace("<turn assistant>", "<turn assistant><think>"), "another way"),
        (SMALL.replace("<end>", ""), "does not close"),
        (SMALL.replace("<end>", "<over>"), "no special token"),
    ],
)
def test_a_template_that_would_teach_something_else_is_refused(
    tmp_path: Path, template: str, why: str
) -> None:
    with pytest.raises(Invalid, match=why) as refusal:
        loaded(tmp_path, template)
    assert refusal.value.field == "model"


def test_a_template_that_stumbles_over_one_instruction_refuses_that_one(tmp_path: Path) -> None:
    found = loaded(tmp_path, SMALL.replace("{{ part.text }}", "{{ part.text | replace('@', '') }}"))
    assert found.render(ChatPrompt("", (), "Fine.", "@")).endswith("@")
    with pytest.raises(Invalid, match="changes this text: 'Mail me@here"):
        found.render(ChatPrompt("", (), "Mail me@here.", ""))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("chat_template.json", {"chat_template": SMALL}),
        ("processor_config.json", {"chat_template": SMALL}),
        ("tokenizer_config.json", TOKENIZER | {"chat_template": SMALL}),
        (
            "tokenizer_config.json",
            TOKENIZER
            | {
                "chat_template": [
                    {"name": "tools", "template": "no"},
                    {"name": "default", "template": SMALL},
                ]
            },
        ),
    ],
)
def test_a_template_is_found_where_older_models_keep_it(
    tmp_path: Path, file: str, content: object
) -> None:
    folder = model(tmp_path / "tiny", "")
    (folder / "chat_template.jinja").unlink()
    (folder / file).write_text(json.dumps(content))
    assert load_template(folder).image_placeholder == "<img>"


def test_a_directory_without_a_template_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="has no chat template"):
        load_template(tmp_path)
    with pytest.raises(Invalid, match="is not a directory"):
        load_template(tmp_path / "absent")
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(Invalid, match="is no JSON"):
        load_template(tmp_path)
