"""The shapes of rows that data sets of this field have."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.images.store import ImageStore
from tests.support.factories import add_project
from tests.support.imports import Importer, lines, picture, texts, tree


@pytest.fixture
def importer(db: Session, tmp_path: Path) -> Importer:
    return Importer(db, add_project(db), ImageStore(tmp_path / "store"))


USER = {"role": "user", "content": "Write."}
ANSWER = {"role": "assistant", "content": "It is written."}
SHAPES: dict[str, dict[str, Any]] = {
    "messages": {"messages": [USER, ANSWER]},
    "messages as parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Write."}]},
            {"role": "assistant", "content": [{"type": "text", "text": "It is written."}]},
        ]
    },
    "texts in turn": {"messages": ["Write.", "It is written."]},
    "messages as JSON": {"messages": [json.dumps(USER), json.dumps(ANSWER)]},
    "ShareGPT": {
        "conversations": [
            {"from": "human", "value": "Write."},
            {"from": "gpt", "value": "It is written."},
        ]
    },
    "LLaMA-Factory's pairs": {
        "conversations": [{"from": "human", "value": "Write."}],
        "chosen": {"from": "gpt", "value": "It is written."},
        "rejected": {"from": "gpt", "value": "No."},
    },
    "Alpaca": {"instruction": "Write.", "input": "", "output": "It is written."},
    "TRL's prompt and completion": {"prompt": "Write.", "completion": "It is written."},
    "TRL's conversational prompt and completion": {"prompt": [USER], "completion": [ANSWER]},
    "prompt and chosen": {"prompt": "Write.", "chosen": "It is written.", "rejected": "No."},
    "conversational prompt and chosen": {"prompt": [USER], "chosen": [ANSWER], "rejected": []},
    "chosen with the prompt in it": {"chosen": [USER, ANSWER], "rejected": [USER]},
    "question and answer": {"question": "Write.", "answer": "It is written."},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_instruction_and_output(importer: Importer, tmp_path: Path, shape: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines(SHAPES[shape] | {"id": "a"}))
    importer(tmp_path / "rows.jsonl")
    [sample] = importer.samples()
    assert sample.instruction == "Write."
    assert texts(importer.output("a")) == ["It is written."]


def test_the_rejected_text_is_kept_beside_the_sample(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines(SHAPES["prompt and chosen"]))
    importer(tmp_path / "rows.jsonl")
    assert importer.samples()[0].extra == {"rejected": "No."}


def test_a_question_with_its_length_waits_for_a_model(importer: Importer, tmp_path: Path) -> None:
    sample = {"id": 3, "question": "Write a story.", "L": 2000, "images": ["a.png"]}
    folder = tree(tmp_path / "in", {"rows.jsonl": lines(sample), "a.png": picture()})
    importer(folder / "rows.jsonl")
    [kept] = importer.samples()
    assert (kept.source_id, kept.instruction, kept.target_words) == ("3", "Write a story.", 2000)
    assert importer.output("3") == []


def test_an_empty_answer_is_a_sample_without_output(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines({"messages": ["Write.", ""], "id": "a"}))
    importer(tmp_path / "rows.jsonl")
    assert importer.output("a") == []


def test_the_input_follows_the_instruction(importer: Importer, tmp_path: Path) -> None:
    alpaca = {"instruction": "Translate.", "input": "Hallo", "output": "Hello"}
    (tmp_path / "rows.jsonl").write_bytes(lines(alpaca))
    importer(tmp_path / "rows.jsonl")
    assert importer.samples()[0].instruction == "Translate.\nHallo"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (
            {"conversations": [{"from": "tool", "value": "x"}]},
            'conversations[0].from: A message of "tool" cannot be shown',
        ),
        ({"messages": [USER, USER]}, 'messages[1].role: The role "assistant" is needed here'),
        ({"messages": [7]}, "messages[0]: A message is needed here, not a number."),
        (
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            'messages[0].content[0]: A part with the type "text" or "image" is needed',
        ),
        ({"prompt": "<image>Write.", "completion": "x"}, "prompt: The text has 1 <image> and the"),
        ({"prompt": "x", "image": "a.png"}, "image: There is no file a.png."),
        ({"prompt": "x", "image": {"bytes": None, "path": "/etc/passwd"}}, "image: The image"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_shape_is_named(
    importer: Importer, tmp_path: Path, given: dict[str, Any], error: str
) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines(given))
    [found] = importer.refused(tmp_path / "rows.jsonl")
    assert found.startswith(f"rows.jsonl, line 1, {error}")
