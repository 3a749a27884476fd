import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.domain.formats import FORMATS, Pair, Summary, Target, raw, trl, trl_row
from app.domain.prompts import ChatPrompt, Template, chat_messages, render

MIDDLE = Pair(
    pair_id=2,
    project="Lectures",
    sample="doc1",
    images=("3f9ac1", "77b0e2"),
    image_files=("images/3f9ac1.png", "images/77b0e2.png"),
    instruction="Write a lecture script for these slides.",
    prefix="## Slide 1\n\nWelcome. This section shows the revenue chart.\n\n",
    chosen="## Slide 2\n\nThe figure compares the model with a baseline.\n\n",
    rejected="## Slide 2\n\nThe figure is blank.\n\n",
    ends_output=False,
    on_policy=True,
    position=1,
    annotator="ada",
    policy=None,
    kind="rewrite",
    created_at=datetime(2026, 11, 20, 10, 30, tzinfo=timezone(timedelta(hours=2))),
)
LAST = replace(
    MIDDLE,
    pair_id=3,
    prefix=MIDDLE.prefix + MIDDLE.chosen,
    chosen="## Slide 3\n\nIn conclusion, growth was 12 percent.",
    rejected="## Slide 3\n\nIn conclusion, growth was 90 percent.",
    ends_output=True,
    position=2,
    policy="qwen2.5-vl-7b",
)
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
HEAD = (
    "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|><|vision_start|><|image_pad|>"
    "<|vision_end|>Write a lecture script for these slides.<|im_end|>\n<|im_start|>assistant\n"
)


def test_a_pair_inside_a_document_is_one_golden_trl_row() -> None:
    row = trl_row(MIDDLE, Template.QWEN2_5_VL)
    assert list(row.items()) == [
        ("images_file_names", ["images/3f9ac1.png", "images/77b0e2.png"]),
        ("prompt", SYSTEM + HEAD + MIDDLE.prefix),
        ("chosen", "## Slide 2\n\nThe figure compares the model with a baseline.\n\n"),
        ("rejected", "## Slide 2\n\nThe figure is blank.\n\n"),
        ("pair_id", "2"),
        ("segment", 2),
        ("is_last", False),
        ("n_images", 2),
        ("instruction", "Write a lecture script for these slides."),
        ("context", ""),
        ("prefix", "## Slide 1\n\nWelcome. This section shows the revenue chart.\n\n"),
        ("segment_chosen", "## Slide 2\n\nThe figure compares the model with a baseline.\n\n"),
        ("segment_rejected", "## Slide 2\n\nThe figure is blank.\n\n"),
        ("kind", "rewrite"),
        ("on_policy", True),
        ("annotator", "ada"),
        ("policy", ""),
        ("created_at", "2026-11-20T08:30:00+00:00"),
    ]


def test_only_the_end_of_an_output_is_followed_by_end_of_turn() -> None:
    row = trl_row(LAST, Template.QWEN2_5_VL)
    assert row["chosen"] == "## Slide 3\n\nIn conclusion, growth was 12 percent.<|im_end|>"
    assert row["rejected"] == "## Slide 3\n\nIn conclusion, growth was 90 percent.<|im_end|>"
    assert row["segment_chosen"] == LAST.chosen
    assert row["is_last"] is True


def test_qwen3_has_no_system_block_of_its_own() -> None:
    assert trl_row(MIDDLE, Template.QWEN3_VL)["prompt"] == HEAD + MIDDLE.prefix


@pytest.mark.parametrize("pair", [MIDDLE, replace(MIDDLE, images=(), image_files=())])
@pytest.mark.parametrize("template", Template)
def test_a_trl_row_is_json_without_null(pair: Pair, template: Template) -> None:
    row = trl_row(pair, template)
    assert "null" not in json.dumps(row)
    assert None not in row.values()


def test_a_raw_row_holds_what_is_stored() -> None:
    (row,) = raw.rows(LAST, Target(Template.QWEN2_5_VL, lambda sha256: f"/images/{sha256}"))
    assert list(row.items()) == [
        ("pair_id", "3"),
        ("project", "Lectures"),
        ("sample", "doc1"),
        ("images", ["/images/3f9ac1", "/images/77b0e2"]),
        ("system", ""),
        ("turns", []),
        ("image_places", []),
        ("instruction", LAST.instruction),
        ("prefix", LAST.prefix),
        ("chosen", LAST.chosen),
        ("rejected", LAST.rejected),
        ("ends_output", True),
        ("on_policy", True),
        ("position", 2),
        ("kind", "rewrite"),
        ("annotator", "ada"),
        ("policy", "qwen2.5-vl-7b"),
        ("created_at", "2026-11-20T08:30:00+00:00"),
    ]


def test_a_pair_without_two_different_texts_is_refused() -> None:
    for chosen, rejected in (("", "a"), ("a", ""), ("a", "a")):
        with pytest.raises(ValueError, match="two different texts"):
            replace(MIDDLE, chosen=chosen, rejected=rejected)


def test_a_pair_needs_a_file_for_each_image_and_a_zone() -> None:
    with pytest.raises(ValueError, match="one file for each image"):
        replace(MIDDLE, image_files=())
    with pytest.raises(ValueError, match="zone"):
        replace(MIDDLE, created_at=datetime(2026, 11, 20, tzinfo=UTC).replace(tzinfo=None))


def summary_of(*, with_images: int, without_images: int = 1, **changes: object) -> Summary:
    rows = with_images + without_images
    whole = Summary(
        folder="trl",
        project="lectures",
        renderer=Template.QWEN3_VL,
        rows={trl.FILE: rows},
        mid=rows - 1,
        last=1,
        with_images=with_images,
        without_images=without_images,
        images=7,
        left_out={},
        version="1.0.0",
    )
    return replace(whole, **changes)  # type: ignore[arg-type] # any field


def test_the_readme_says_how_to_train_and_has_no_header() -> None:
    readme = trl.companions(summary_of(with_images=4))["README.md"]
    assert readme.startswith("# IterDPO ")
    for said in (
        "max_length=None",
        "TRL >= 0.29.0",
        "datasets >= 3.4.0",
        "| mid-document (no end-of-turn after the segment) | 4 |",
        "| distinct images | 7 |",
        "qwen3-vl",
        'load_dataset("trl", split="train")',
    ):
        assert said in readme


def test_rows_without_any_image_are_read_as_json() -> None:
    readme = trl.companions(summary_of(with_images=0))["README.md"]
    assert 'load_dataset("json", data_files="trl/metadata.jsonl", split="train")' in readme
    assert '`"images": []`' in readme


@pytest.mark.parametrize("name", ["trl", "trl-jsonl"])
def test_the_configuration_lifts_the_length_limit(name: str) -> None:
    assert "\nmax_length: null\n" in FORMATS[name].files(summary_of(with_images=1))["dpo.yaml"]


def test_a_folder_of_any_name_can_be_trained_on() -> None:
    odd = summary_of(with_images=1, folder='no: "bool"')
    assert '\ndataset_name: "no: \\"bool\\""\n' in trl.companions(odd)["dpo.yaml"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_known_by_its_readme(name: str) -> None:
    readme = FORMATS[name].files(summary_of(with_images=1))["README.md"]
    assert readme.startswith("# IterDPO ")
    assert "| project | lectures |" in readme


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_left_out_is_said_with_its_count(name: str) -> None:
    left_out = {"both sides are the same": 3}
    readme = FORMATS[name].files(summary_of(with_images=1, left_out=left_out))["README.md"]
    assert "| both sides are the same | 3 |" in readme


@pytest.mark.parametrize("name", ["llamafactory", "llamafactory-exact", "ms-swift"])
@pytest.mark.parametrize("field", ["instruction", "prefix", "chosen", "rejected"])
@pytest.mark.parametrize("tag", ["<image>", "<video>", "<audio>"])
def test_a_tag_of_media_in_a_text_is_refused(name: str, field: str, tag: str) -> None:
    (stream,) = FORMATS[name].streams_of(Pair)
    pair = replace(MIDDLE, **{field: f"See {tag}."})  # type: ignore[arg-type] # a text each
    with pytest.raises(ValueError, match=tag):
        stream.rows(pair, Target(Template.QWEN2_5_VL))
    assert tag in FORMATS[name].reserved


@pytest.mark.parametrize("name", ["llamafactory", "ms-swift"])
def test_a_tag_that_prefix_and_segment_make_together_is_refused(name: str) -> None:
    (stream,) = FORMATS[name].streams_of(Pair)
    with pytest.raises(ValueError, match="<image>"):
        stream.rows(replace(MIDDLE, prefix="See <im", chosen="age>."), Target(Template.QWEN3_VL))


@pytest.mark.parametrize("name", ["trl-jsonl", "llamafactory", "ms-swift", "raw"])
def test_rows_name_images_as_the_target_says(name: str) -> None:
    (stream,) = FORMATS[name].streams_of(Pair)
    target = Target(Template.QWEN2_5_VL, lambda sha256: f"https://here/{sha256}")
    (row,) = stream.rows(MIDDLE, target)
    assert row["images"] == ["https://here/3f9ac1", "https://here/77b0e2"]


def image_part(sha256: str) -> dict[str, object]:
    return {"type": "image_url", "uuid": sha256}


def test_messages_are_constant_first_and_the_prefix_last() -> None:
    prompt = ChatPrompt("Be brief.", ("a1", "b2"), "Describe.", "One.\n\n")
    assert chat_messages(prompt, image_part) == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "uuid": "a1"},
                {"type": "image_url", "uuid": "b2"},
                {"type": "text", "text": "Describe."},
            ],
        },
        {"role": "assistant", "content": "One.\n\n"},
    ]


def test_no_prefix_and_no_system_prompt_make_no_message() -> None:
    messages = chat_messages(ChatPrompt("", (), "Describe.", ""), image_part)
    assert [message["role"] for message in messages] == ["user"]


@pytest.mark.parametrize("template", Template)
@pytest.mark.parametrize("prefix", ["", "One.\n\n", " \n", "{{ jinja }}", "第一页：\r\n"])
def test_a_rendered_prompt_ends_exactly_in_the_prefix(template: Template, prefix: str) -> None:
    rendered = render(ChatPrompt("Be brief.", (), "Describe.", prefix), template)
    assert rendered == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nDescribe.<|im_end|>\n"
        f"<|im_start|>assistant\n{prefix}"
    )
