"""The rows and files of every format are those that the trainers were shown, byte for byte."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.formats import FORMATS, Row, Target, WholeOutput
from app.domain.formats.registry import Item
from app.domain.formats.rows import MEDIA_TAGS
from app.domain.prompts import ChatPrompt, Renderer, Template, render
from tests.domain.export_items import JUDGEMENTS, OUTPUTS, PAIRS
from tests.domain.golden_files import PLACE, expected

EXPECTED = expected()


def test_every_golden_file_is_made_and_none_is_left_over() -> None:
    present = [path.relative_to(PLACE).as_posix() for path in PLACE.rglob("*") if path.is_file()]
    assert sorted(present) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_is_its_golden_file(name: str) -> None:
    assert EXPECTED[name].decode() == (PLACE / name).read_bytes().decode()


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.endswith(".json")])
def test_settings_are_json(name: str) -> None:
    assert json.loads(EXPECTED[name])


def test_the_launcher_is_python() -> None:
    source = EXPECTED["llamafactory-exact/launch.py"].decode()
    compile(source, "launch.py", "exec")


def rows(name: str, items: Sequence[Item], renderer: Renderer) -> list[Row]:
    return [
        row
        for stream in FORMATS[name].streams_of(type(items[0]))
        for item in items
        for row in stream.rows(item, Target(renderer))
    ]


@pytest.mark.parametrize("template", Template)
def test_a_prompt_and_its_completion_are_the_text_of_the_turn(template: Template) -> None:
    """Whatever is trained, the model reads the images, the instruction and the text, unbroken."""
    whole = OUTPUTS[0]
    found = rows("sft", [whole], template)
    for row in found[:3]:
        text = whole.text + "<|im_end|>"
        turn = render(ChatPrompt("", whole.images, whole.instruction, ""), template) + text
        assert turn.startswith(f"{row['prompt']}{row['completion']}")


@given(prefix=st.text(), chosen=st.text(min_size=1), ends=st.booleans(), images=st.integers(0, 3))
def test_every_pair_format_says_the_same_of_any_text(
    prefix: str, chosen: str, ends: bool, images: int
) -> None:
    """The rendered, the tagged and the split rows are one and the same turn, to the character."""
    pair = replace(
        PAIRS[0],
        images=PAIRS[0].images[:1] * images,
        image_files=PAIRS[0].image_files[:1] * images,
        prefix=prefix,
        chosen=chosen,
        rejected=chosen + ".",
        ends_output=ends,
    )
    if any(tag in prefix + chosen for tag in MEDIA_TAGS):
        return
    template = Template.QWEN2_5_VL
    ((trained,), (exact,), (stock,), (swift,), (stored,)) = (
        rows(name, [pair], template)
        for name in ("trl", "llamafactory-exact", "llamafactory", "ms-swift", "raw")
    )
    end = "<|im_end|>" if ends else ""
    turn = render(ChatPrompt("", pair.images, pair.instruction, prefix), template) + chosen + end
    assert f"{trained['prompt']}{trained['chosen']}" == turn
    (human,) = cast(list[dict[str, str]], exact["conversations"])
    answer = cast(dict[str, str], exact["chosen"])["value"]
    assert human["value"].replace("<image>", template.image_placeholder) + answer == turn
    assert cast(dict[str, str], stock["chosen"])["value"] == prefix + chosen
    _, *answers = cast(list[dict[str, object]], swift["messages"])
    assert "".join(str(part["content"]) for part in answers) == prefix + chosen
    assert [part["content"] for part in answers if part["loss"]] == [chosen]
    assert (stored["prefix"], stored["chosen"]) == (prefix, chosen)


def test_end_of_turn_follows_the_end_of_an_output_alone() -> None:
    for name in ("trl", "trl-jsonl"):
        for pair, row in zip(PAIRS, rows(name, PAIRS, Template.QWEN2_5_VL), strict=True):
            for side in ("chosen", "rejected"):
                assert str(row[side]).endswith("<|im_end|>") is pair.ends_output
    for judgement, row in zip(
        JUDGEMENTS, rows("kto", JUDGEMENTS, Template.QWEN2_5_VL), strict=True
    ):
        assert str(row["completion"]).endswith("<|im_end|>") is judgement.ends_output


def test_a_chain_of_corrections_grows_by_what_was_chosen() -> None:
    first, second, third = rows("trl", PAIRS[:3], Template.QWEN2_5_VL)
    assert f"{first['prompt']}{first['chosen']}" == second["prompt"]
    assert f"{second['prompt']}{second['chosen']}" == third["prompt"]


def test_a_text_whose_end_is_not_known_is_no_message() -> None:
    ended, cut_off = OUTPUTS[0], OUTPUTS[1]
    (stream,) = [s for s in FORMATS["sft"].streams_of(WholeOutput) if s.file == "sharegpt.jsonl"]
    assert len(stream.rows(ended, Target(Template.QWEN2_5_VL))) == 1
    assert len(stream.rows(cut_off, Target(Template.QWEN2_5_VL))) == 0


def test_segments_that_nobody_judged_are_not_imitated() -> None:
    (stream,) = [s for s in FORMATS["sft"].streams_of(WholeOutput) if s.file == "segments.jsonl"]
    found = stream.rows(OUTPUTS[0], Target(Template.QWEN2_5_VL))
    assert [(row["segment"], row["verdict"]) for row in found] == [
        (1, "corrected"),
        (3, "accepted"),
    ]


def test_a_rejected_segment_ends_no_output() -> None:
    with pytest.raises(ValueError, match="ends no output"):
        replace(JUDGEMENTS[3], ends_output=True)


def test_what_has_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a text"):
        replace(JUDGEMENTS[0], text="")
    with pytest.raises(ValueError, match="needs segments"):
        replace(OUTPUTS[0], segments=())
    with pytest.raises(ValueError, match="one file for each image"):
        replace(OUTPUTS[0], image_files=())
