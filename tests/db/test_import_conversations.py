"""System messages, earlier turns and places of images: kept, given to models, and exported."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.domain.conversation import Context, Turn
from app.domain.formats import FORMATS, Target
from app.domain.prompts import Template, chat_messages
from app.exports.reader import read_pairs
from app.images.store import ImageStore
from app.models import Project, Sample, Segment
from app.regenerations import attempts, requests
from app.samples.importing.incoming import IncomingSample, Where
from app.samples.importing.preparing import content_hash
from tests.support.factories import add_draft, add_policy, add_project, add_user
from tests.support.imports import Importer, lines, picture, row, texts, tree
from tests.support.pairing import add_pair

CHAT = {
    "id": "chat",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "<image>\nWhat is this?"},
        {"role": "assistant", "content": "A chart."},
        {"role": "user", "content": "Compare <image> with <image>."},
        {"role": "assistant", "content": "They differ.\n\nVery much."},
    ],
    "images": ["a.png", "b.png", "c.png"],
}
CONTEXT = Context(
    "Be brief.", (Turn("user", "What is this?", (0,)), Turn("assistant", "A chart.")), (8, 14)
)


@pytest.fixture
def importer(db: Session, tmp_path: Path) -> Importer:
    return Importer(db, add_project(db), ImageStore(tmp_path / "store"))


@pytest.fixture
def sample(importer: Importer, tmp_path: Path) -> Sample:
    """The chat as a sample."""
    colours = {"a.png": "red", "b.png": "green", "c.png": "blue"}
    files = {name: picture(colour) for name, colour in colours.items()}
    folder = tree(tmp_path / "in", {"rows.jsonl": lines(CHAT), **files})
    importer(folder / "rows.jsonl")
    [kept] = importer.samples()
    return kept


def context(sample: Sample) -> Context:
    return Context.from_json(sample.system, sample.turns, sample.image_places)


def test_a_conversation_is_kept_with_the_places_of_its_images(
    importer: Importer, sample: Sample
) -> None:
    assert context(sample) == CONTEXT
    assert sample.instruction == "Compare  with ."
    assert "".join(texts(importer.output("chat"))) == "They differ.\n\nVery much."


def test_images_without_marks_are_in_the_first_message(importer: Importer, tmp_path: Path) -> None:
    chat = {"messages": ["Look.", "I see.", "Write."], "images": ["a.png"]}
    folder = tree(tmp_path / "in", {"rows.jsonl": lines(chat), "a.png": picture()})
    importer(folder / "rows.jsonl")
    [kept] = importer.samples()
    assert context(kept).turns == (Turn("user", "Look.", (0,)), Turn("assistant", "I see."))


@pytest.mark.parametrize(
    "shape",
    [
        {"system": "Be brief.", "instruction": "Write.", "history": [["A?", "B."]]},
        {"system": "Be brief.", "conversations": [
            {"from": "human", "value": "A?"}, {"from": "gpt", "value": "B."},
            {"from": "human", "value": "Write."}]},
        {"system_prompt": "Be brief.", "prompt": [
            {"role": "user", "content": "A?"}, {"role": "assistant", "content": "B."},
            {"role": "user", "content": "Write."}]},
    ],
)  # fmt: skip
def test_other_forms_say_the_same(
    importer: Importer, tmp_path: Path, shape: dict[str, Any]
) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines(shape))
    importer(tmp_path / "rows.jsonl")
    [kept] = importer.samples()
    turns = (Turn("user", "A?"), Turn("assistant", "B."))
    assert (context(kept), kept.instruction) == (Context("Be brief.", turns), "Write.")


def test_marks_and_images_must_agree_over_the_whole_conversation(
    importer: Importer, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines(CHAT | {"images": []}))
    assert importer.refused(tmp_path / "rows.jsonl") == [
        "rows.jsonl, line 1, messages: The text has 3 <image> and the row 0 images."
    ]


def test_what_had_no_conversation_keeps_its_hash() -> None:
    """What was imported by an earlier version is found again as unchanged."""
    old = IncomingSample(Where("x"), "a", None, "Write.", (), "Done.")
    known = "6e2948912c0395ad1740aa05745f57f78638699113d02d55f9ee7dff8d044874"
    assert content_hash(old, ()).hex() == known


def test_a_conversation_changes_the_hash(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(row(1, system="Be brief.")))
    importer(tmp_path / "a.jsonl")
    assert importer(tmp_path / "a.jsonl").unchanged == 1
    (tmp_path / "a.jsonl").write_bytes(lines(row(1, system="Be long.")))
    with pytest.raises(Exception, match="with other content"):
        importer(tmp_path / "a.jsonl")


def test_a_model_is_asked_with_the_whole_conversation(db: Session, sample: Sample) -> None:
    draft = add_draft(db, sample=sample, user=add_user(db))
    db.get_one(Project, sample.project_id).generation = {"system": "Other."}
    run = requests.request(
        db, draft=draft, anchor_id=draft.head_id, displaced_id=draft.head_id, displaced_depth=2
    )
    work = attempts.start(
        db, regeneration_id=run.id, worker="w", policy_id=add_policy(db).id, lease_s=30
    )
    assert work is not None
    messages = chat_messages(work.prompt, lambda sha256: {"type": "image", "of": sha256})
    first, second, third = work.prompt.images
    assert messages == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "image", "of": first}, {"type": "text", "text": "What is this?"},
            ],
        },
        {"role": "assistant", "content": "A chart."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Compare "}, {"type": "image", "of": second},
                {"type": "text", "text": " with "}, {"type": "image", "of": third},
                {"type": "text", "text": "."},
            ],
        },
        {"role": "assistant", "content": "They differ.\n\nVery much."},
    ]  # fmt: skip


SHOWN = "<|vision_start|><|image_pad|><|vision_end|>"
RENDERED = (
    "<|im_start|>system\nBe brief.<|im_end|>\n"
    f"<|im_start|>user\n{SHOWN}What is this?<|im_end|>\n"
    "<|im_start|>assistant\nA chart.<|im_end|>\n"
    f"<|im_start|>user\nCompare {SHOWN} with {SHOWN}.<|im_end|>\n"
    "<|im_start|>assistant\n"
)


def test_every_export_holds_the_whole_conversation(db: Session, sample: Sample) -> None:
    pair = add_pair(db, sample=sample, number=1, text="They are alike.", user=add_user(db))

    @contextmanager
    def session() -> Iterator[Session]:
        yield db

    [found] = read_pairs(session, iter([[pair.id]]))
    prefix = found.prefix.text

    def rows(name: str) -> dict[str, Any]:
        [stream] = FORMATS[name].streams_of(type(found.pair))
        [made] = stream.rows(found.pair, Target(Template.QWEN2_5_VL))
        return dict(made)

    assert rows("trl")["prompt"] == RENDERED + prefix
    assert rows("trl-jsonl")["prompt"] == RENDERED + prefix
    tagged = "Compare <image> with <image>."
    assert rows("llamafactory")["conversations"] == [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "<image>What is this?"},
        {"from": "gpt", "value": "A chart."},
        {"from": "human", "value": tagged},
    ]
    exact = RENDERED.replace(SHOWN, "<image>") + prefix
    assert rows("llamafactory-exact")["conversations"] == [{"from": "human", "value": exact}]
    assert rows("ms-swift")["messages"][:4] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "<image>What is this?"},
        {"role": "assistant", "content": "A chart.", "loss": False},
        {"role": "user", "content": tagged},
    ]
    raw = rows("raw")
    assert raw["system"] == "Be brief."
    assert raw["turns"] == [
        {"role": "user", "content": "What is this?", "image_places": [0]},
        {"role": "assistant", "content": "A chart.", "image_places": []},
    ]
    assert raw["image_places"] == [8, 14]
    assert rows("parquet")["context"] == rows("trl")["context"] == CONTEXT.written()


def test_two_conversations_about_the_same_are_no_duplicates(
    db: Session, importer: Importer, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(row(1, system="A."), row(2, system="B.")))
    importer(tmp_path / "a.jsonl")
    user = add_user(db)
    pairs = [
        add_pair(db, sample=sample, number=1, text="Other.", user=user)
        for sample in importer.samples()
    ]

    @contextmanager
    def session() -> Iterator[Session]:
        yield db

    found = list(read_pairs(session, iter([[pair.id for pair in pairs]])))
    assert len({one.digest for one in found}) == 2
    assert db.get(Segment, pairs[0].chosen_id) is not None
