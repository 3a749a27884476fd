"""A project that was imported and annotated through the app's own services, and its pairs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.annotation.edits.assignment import finish, open_draft
from app.images.store import ImageStore
from app.models import Correction, Project, Sample, SampleImage, Segment, User
from app.models.live import is_live_pair
from tests.db.conftest import Desk
from tests.support.factories import add_project, add_user
from tests.support.imports import Importer, archive, lines, picture

ENGLISH = (
    "## Slide 1\n\nWelcome to the lecture.\n\n",
    "## Slide 2\n\nThe chart shows 12 percent.\n\n",
    "## Slide 3\n\nThe table has three rows.\n\n",
    "## Slide 4\n\nThank you for listening.",
)
CHINESE = ("## Slide 1\n\n这是第一张幻灯片。\n\n", "## Slide 2\n\n谢谢大家！")
# Each of another colour and size: the pixels that reach the model tell them apart.
PICTURES = {
    f"{colour}.png": picture(colour, size=(56 + 28 * index, 84))
    for index, colour in enumerate(("red", "green", "blue", "white"))
}


@dataclass(frozen=True)
class Expected:
    """A pair as the tree tells it, without the code that exports."""

    images: tuple[str, ...]
    instruction: str
    prefix: str
    chosen: str
    rejected: str
    ends_output: bool


def annotate(db: Session, store: ImageStore, place: Path) -> Project:
    """First, middle and last segments; 0, 1 and 4 images; Chinese, emoji, NFD; several corrections
    on one path; kept, regenerated, inserted, deleted, taken back and replaced ones."""
    lin = add_user(db, name="lin")
    project = add_project(db, lin, name="lectures")
    rows = [
        _row("slides", ENGLISH, list(PICTURES)),
        _row("chinese", CHINESE, ["blue.png"], instruction="为这些幻灯片写讲稿。"),
        _row("plain", ENGLISH, []),
        _row("regenerated", ENGLISH, ["white.png", "red.png"]),
        _row("structure", ENGLISH, ["green.png"]),
    ]
    zipped = archive(place / "samples.zip", {"samples.jsonl": lines(*rows), **PICTURES})
    Importer(db, project, store)(zipped, policy="qwen2.5-vl-7b")
    slides, chinese, plain, regenerated, structure = (
        _desk(db, sample, lin)
        for sample in db.scalars(
            select(Sample).where(Sample.project_id == project.id).order_by(Sample.id)
        )
    )
    slides.correct(1, "## Slide 1\n\nGood morning, everybody. 🙂")
    slides.correct(3, "## Slide 3\n\nThe table has *four* rows: café, cafe\u0301.")
    slides.correct(4, "## Slide 4\n\nThat is all. 👩‍👩‍👧 Thank you.")
    # Replaced by the annotator's next version; and one that is taken back.
    slides.correct(3, "## Slide 3\n\nThe table has four rows.\n- one\n- two")
    slides.correct(2, "## Slide 2\n\nA slip.")
    slides.correct(2, ENGLISH[1])
    chinese.correct(1, "## Slide 1\n\n大家好，这是第一张幻灯片：数据📈。")
    chinese.correct(2, "## Slide 2\n\n谢谢大家，再见！")
    plain.correct(2, "## Slide 2\n\nThe chart shows 21 percent.")
    plain.correct(4, "## Slide 4\n\nGoodbye.")
    regenerated.correct(2, "## Slide 2\n\nThe chart shows nothing.", rewrite=True)
    regenerated.write("## Slide 3\n\nWritten anew under the correction.\n\n")
    regenerated.write("## Slide 4\n\nAnd so it ends.", stop_reason="stop")
    regenerated.correct(4, "## Slide 4\n\nAnd so it ends well.")
    structure.insert(1, "A sentence between the slides.")
    structure.delete(4)
    structure.accept(4)
    # Judged without a correction, and finished.
    plain.accept(1)
    regenerated.accept(3)
    for desk in (slides, chinese, plain, regenerated):
        finish(db, draft=desk.draft, base_version=desk.draft.version)
    db.commit()
    return project


def expected_pairs(db: Session, project: Project) -> Mapping[str, Expected]:
    """The live pairs by their ids, found by walking each path step by step."""
    found = {}
    for correction in db.scalars(
        select(Correction)
        .join(Sample, Sample.id == Correction.sample_id)
        .where(Sample.project_id == project.id, is_live_pair())
    ):
        chosen = db.get_one(Segment, correction.chosen_id)
        rejected = db.get_one(Segment, correction.rejected_id)
        prefix, at = "", chosen.parent_id
        while at is not None:
            above = db.get_one(Segment, at)
            prefix, at = above.text + prefix, above.parent_id
        sample = db.get_one(Sample, correction.sample_id)
        images = db.scalars(
            select(SampleImage.sha256)
            .where(SampleImage.sample_id == sample.id)
            .order_by(SampleImage.position)
        ).all()
        found[str(correction.id)] = Expected(
            images=tuple(images),
            instruction=sample.instruction,
            prefix=prefix,
            chosen=chosen.text,
            rejected=rejected.text,
            ends_output=chosen.ends_output and rejected.ends_output,
        )
    return found


def _row(name: str, texts: tuple[str, ...], images: list[str], **more: str) -> dict[str, Any]:
    row: dict[str, Any] = {"id": name, "instruction": "Write a lecture script."}
    return row | {"output": "".join(texts), "images": images} | more


def _desk(db: Session, sample: Sample, user: User) -> Desk:
    return Desk(db, open_draft(db, sample_id=sample.id, user_id=user.id), user)


def written(path: Path) -> list[dict[str, Any]]:
    """The rows of an export's file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
