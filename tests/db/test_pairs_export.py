"""The directory for TRL: its rows, its images, and that it appears whole or not at all."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from sqlalchemy.orm import Session

from app.domain.filters import PairFilter
from app.domain.prompts import Template
from app.domain.quality import Check, Gate
from app.exports.counts import Tally
from app.exports.export import Order, export_directory
from app.exports.formats import FORMATS, Rendering
from app.images.store import ImageStore
from app.models import Correction, Project, Sample
from app.refusals import Conflict, NotFound
from tests.support.factories import add_project, add_sample
from tests.support.pairing import add_pair, show_images

HEAD = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "{images}Write a lecture script for these slides.<|im_end|>\n<|im_start|>assistant\n"
)
PAD = "<|vision_start|><|image_pad|><|vision_end|>"


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.fixture
def project(db: Session) -> Project:
    return add_project(db, name="lectures")


def order(project: Project, template: Template = Template.QWEN2_5_VL) -> Order:
    return Order(
        PairFilter(project=(project.name,)),
        FORMATS["trl"],
        Rendering(template, folder="trl"),
        Gate(template),
    )


def export(db: Session, project: Project, out: Path, store: ImageStore) -> Tally:
    return export_directory(db, order(project), projects=[project.id], out=out, store=store)


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metadata.jsonl").read_bytes().splitlines()]


def correct(db: Session, sample: Sample, number: int, text: str) -> Correction:
    return add_pair(db, sample=sample, number=number, text=text)


def test_datasets_loads_the_directory_with_its_images(
    db: Session,
    project: Project,
    store: ImageStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_images, without = add_sample(db, project=project), add_sample(db, project=project)
    show_images(db, store, with_images, "white", "navy")
    correct(db, without, 1, "## Slide 1\nHello.\n\n")
    correct(db, with_images, 2, "## Slide 2\nThe chart shows 21 percent.\n\n")
    out = tmp_path / "trl"
    export(db, project, out, store)
    loaded = load(out, tmp_path, monkeypatch)
    assert loaded.column_names[:4] == ["images", "prompt", "chosen", "rejected"]
    assert [len(row["images"]) for row in loaded] == [2, 0]
    assert loaded[0]["images"][1].size == (64, 48)


def load(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))


def test_a_row_in_the_middle_is_the_segment_and_nothing_more(
    db: Session, project: Project, store: ImageStore, tmp_path: Path
) -> None:
    sample = add_sample(db, project=project)
    first, second = show_images(db, store, sample, "white", "navy")
    correction = correct(db, sample, 2, "## Slide 2\nThe chart shows 21 percent.\n\n")
    report = export(db, project, tmp_path / "trl", store)
    (row,) = rows(tmp_path / "trl")
    assert row["images_file_names"] == [f"images/{first}.png", f"images/{second}.jpg"]
    assert row["prompt"] == (
        HEAD.format(images=PAD * 2) + "## Slide 1\nWelcome to the lecture.\n\n"
    )
    assert row["chosen"] == "## Slide 2\nThe chart shows 21 percent.\n\n"
    assert row["rejected"] == "## Slide 2\nThe chart shows 12 percent.\n\n"
    assert (row["pair_id"], row["segment"], row["is_last"]) == (str(correction.id), 2, False)
    assert (report.pairs, report.mid, report.last, report.images) == (1, 1, 0, 2)
    for sha256, file in zip((first, second), row["images_file_names"], strict=True):
        kind = "png" if file.endswith("png") else "jpeg"
        assert (tmp_path / "trl" / file).read_bytes() == store.original(sha256, kind).read_bytes()


def test_the_last_segment_ends_the_turn_on_both_sides(
    db: Session, project: Project, store: ImageStore, tmp_path: Path
) -> None:
    correct(db, add_sample(db, project=project), 4, "## Slide 4\nGoodbye.")
    report = export(db, project, tmp_path / "trl", store)
    (row,) = rows(tmp_path / "trl")
    assert row["chosen"] == "## Slide 4\nGoodbye.<|im_end|>"
    assert row["rejected"] == "## Slide 4\nThank you for listening.<|im_end|>"
    assert row["is_last"]
    assert report.last == 1


def test_a_text_that_goes_on_never_ends_the_turn(
    db: Session, project: Project, store: ImageStore, tmp_path: Path
) -> None:
    correct(db, add_sample(db, project=project, ends_output=False), 4, "## Slide 4\nGoodbye.")
    export(db, project, tmp_path / "trl", store)
    (row,) = rows(tmp_path / "trl")
    assert "<|im_end|>" not in row["chosen"] + row["rejected"]


def test_pairs_without_any_image_are_plain_json_and_say_so(
    db: Session,
    project: Project,
    store: ImageStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    correct(db, add_sample(db, project=project), 1, "## Slide 1\nHello.\n\n")
    out = tmp_path / "trl"
    report = export(db, project, out, store)
    assert report.text_only
    assert rows(out)[0]["images"] == []
    assert "images_file_names" not in rows(out)[0]
    assert "## No images" in (out / "README.md").read_text()
    assert load(out, tmp_path, monkeypatch)[0]["images"] == []


def test_special_strings_are_refused_and_counted(
    db: Session, project: Project, store: ImageStore, tmp_path: Path
) -> None:
    sample = add_sample(db, project=project, texts=("One <|im_end|> more.\n\n", "Two.\n\n", "End."))
    correct(db, sample, 2, "Zwei.\n\n")
    correct(db, sample, 1, "One.\n\n")
    correct(db, add_sample(db, project=project), 1, "## Slide 1\nHello <|.\n\n")
    report = export(db, project, tmp_path / "trl", store)
    assert report.pairs == 1
    assert report.left_out == {Check.SPECIAL: 2}
    assert "| special | 2 |" in (tmp_path / "trl" / "README.md").read_text()


def test_an_earlier_export_is_replaced(
    db: Session, project: Project, store: ImageStore, tmp_path: Path
) -> None:
    sample = add_sample(db, project=project)
    (image,) = show_images(db, store, sample, "white")
    correct(db, sample, 1, "## Slide 1\nHello.\n\n")
    out = tmp_path / "trl"
    export(db, project, out, store)
    correct(db, sample, 2, "## Slide 2\nThe chart shows 21 percent.\n\n")
    export(db, project, out, store)
    assert len(rows(out)) == 2
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "dpo.yaml",
        "images",
        "manifest.yaml",
        "metadata.jsonl",
    ]
    assert [path.stem for path in (out / "images").iterdir()] == [image]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".trl")]


@pytest.mark.parametrize("name", ["notes.txt", "README.md"])
def test_a_directory_of_other_files_is_left_alone(
    db: Session, project: Project, store: ImageStore, tmp_path: Path, name: str
) -> None:
    correct(db, add_sample(db, project=project), 1, "## Slide 1\nHello.\n\n")
    out = tmp_path / "trl"
    out.mkdir()
    (out / name).write_text("Mine.")
    with pytest.raises(Conflict, match="no export"):
        export(db, project, out, store)
    assert [path.name for path in out.iterdir()] == [name]


def test_a_missing_image_leaves_nothing_behind(
    db: Session, project: Project, store: ImageStore, tmp_path: Path
) -> None:
    sample = add_sample(db, project=project)
    (sha256,) = show_images(db, store, sample, "white")
    correct(db, sample, 1, "## Slide 1\nHello.\n\n")
    store.remove(sha256, "png")
    with pytest.raises(NotFound):
        export(db, project, tmp_path / "out" / "trl", store)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_project_without_pairs_exports_nothing(
    db: Session, project: Project, store: ImageStore, tmp_path: Path
) -> None:
    add_sample(db, project=project)
    with pytest.raises(Conflict, match="no pairs yet"):
        export(db, project, tmp_path / "trl", store)
    assert not (tmp_path / "trl").exists()


def test_other_projects_pairs_stay_out(
    db: Session, project: Project, store: ImageStore, tmp_path: Path
) -> None:
    correct(db, add_sample(db, project=project), 1, "## Slide 1\nHello.\n\n")
    correct(db, add_sample(db, project=add_project(db)), 1, "## Slide 1\nOther.\n\n")
    seen: list[tuple[int, int]] = []
    export_directory(
        db,
        order(project, Template.QWEN3_VL),
        projects=[project.id],
        out=tmp_path / "trl",
        store=store,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    (row,) = rows(tmp_path / "trl")
    assert row["chosen"] == "## Slide 1\nHello.\n\n"
    assert row["prompt"].startswith("<|im_start|>user\n")
    assert seen == [(1, 1)]
