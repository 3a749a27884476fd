"""What annotators accepted, deleted and finished leaves as pairs do: filtered, checked, counted."""

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet
import pytest
from sqlalchemy.orm import Session

from app.annotation.edits import assignment
from app.domain.filters import PairFilter
from app.domain.prompts import Template
from app.domain.quality import Check, Gate
from app.exports.counts import Tally
from app.exports.export import Order, export_directory
from app.exports.formats import FORMATS, Rendering
from app.images.store import ImageStore
from app.models import Project, Sample
from app.refusals import Conflict, Invalid
from tests.db.conftest import Desk
from tests.support.factories import SLIDES, add_draft, add_project, add_sample, add_user
from tests.support.pairing import show_images


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.fixture
def project(db: Session) -> Project:
    return add_project(db, name="lectures")


@pytest.fixture
def desk(db: Session, project: Project, store: ImageStore) -> Desk:
    """A text with an image: one segment accepted, one corrected, one deleted."""
    made = sit_down(db, add_sample(db, project=project), "lin")
    show_images(db, store, db.get_one(Sample, made.draft.sample_id), "white", "navy")
    made.accept(1)
    made.correct(2, "## Slide 2\nThe chart shows 21 percent.")
    made.delete(3)
    return made


def sit_down(db: Session, sample: Sample, name: str) -> Desk:
    user = add_user(db, name=name)
    return Desk(db, add_draft(db, sample=sample, user=user), user)


def finish(desk: Desk) -> None:
    assignment.finish(desk.db, draft=desk.draft, base_version=desk.draft.version)


class Exporter:
    """Exports the project in a format."""

    def __init__(self, db: Session, project: Project, store: ImageStore, place: Path) -> None:
        self.db, self.project, self.store, self.place = db, project, store, place

    def __call__(self, format: str, gate: Gate | None = None, **wanted: Any) -> Tally:
        order = Order(
            PairFilter(project=(self.project.name,), **wanted),
            FORMATS[format],
            Rendering(Template.QWEN2_5_VL, folder=format, project=self.project.name),
            gate or Gate(),
        )
        return export_directory(
            self.db, order, projects=[self.project.id], out=self.place / format, store=self.store
        )

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.place / name).read_bytes().splitlines()]

    def manifest(self, format: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.place / format / "manifest.yaml").read_text())
        return found


@pytest.fixture
def export(db: Session, project: Project, store: ImageStore, tmp_path: Path) -> Exporter:
    return Exporter(db, project, store, tmp_path / "out")


def test_kto_holds_what_was_accepted_and_deleted(
    export: Exporter, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = export("kto")
    rows = export.rows("kto/metadata.jsonl")
    assert [(row["completion"], row["label"]) for row in rows] == [
        (SLIDES[0], True),
        (SLIDES[2], False),
    ]
    assert rows[1]["prompt"].endswith(
        "<|im_start|>assistant\n" + SLIDES[0] + "## Slide 2\nThe chart shows 21 percent.\n\n"
    )
    assert (tally.pairs, tally.accepted, tally.rejected, tally.images) == (2, 1, 1, 2)
    manifest = export.manifest("kto")
    assert (manifest["judgements"], manifest["rows"]) == (2, 2)
    assert set(manifest["files"]) == {"metadata.jsonl", "README.md", "kto.yaml"}
    assert "| accepted | 1 |" in (export.place / "kto" / "README.md").read_text()
    loaded = load(export.place / "kto", tmp_path, monkeypatch)
    assert loaded["label"] == [True, False]
    assert len(loaded[0]["images"]) == 2


def load(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))


def test_sft_holds_three_files_of_what_is_finished(export: Exporter, desk: Desk) -> None:
    with pytest.raises(Conflict, match="lectures has no outputs yet"):
        export("sft")
    finish(desk)
    tally = export("sft")
    (output,) = export.rows("sft/outputs.jsonl")
    assert output["completion"] == "".join(desk.texts) + "<|im_end|>"
    segments = export.rows("sft/segments.jsonl")
    assert [row["verdict"] for row in segments] == ["accepted", "corrected"]
    (shared,) = export.rows("sft/sharegpt.jsonl")
    assert shared["messages"][1]["content"] == "".join(desk.texts)
    assert tally.rows_of == {"outputs.jsonl": 1, "segments.jsonl": 2, "sharegpt.jsonl": 1}
    assert "| segments.jsonl | 2 |" in (export.place / "sft" / "README.md").read_text()
    for image in output["images"]:
        assert (export.place / "sft" / image).is_file()
    assert export.manifest("sft")["outputs"] == 1


def test_parquet_holds_the_pairs_and_each_image_once(export: Exporter, desk: Desk) -> None:
    tally = export("parquet")
    table = pyarrow.parquet.read_table(export.place / "parquet" / "pairs.parquet").to_pylist()
    assert [row["rejected"] for row in table] == [SLIDES[1]]
    images = pyarrow.parquet.read_table(export.place / "parquet" / "images.parquet").to_pylist()
    assert sorted(row["sha256"] for row in images) == sorted(set(table[0]["images"]))
    assert tally.images == 2
    assert not (export.place / "parquet" / "images").exists()


@pytest.mark.parametrize("format", ["kto", "sft", "parquet"])
def test_the_same_data_gives_the_same_files(export: Exporter, desk: Desk, format: str) -> None:
    finish(desk)
    first, second = export(format).files, export(format).files
    assert first == second


@pytest.mark.parametrize(
    ("wanted", "labels"),
    [
        ({"annotator": ("lin",)}, [True, False]),
        ({"annotator": ("bob",)}, [True]),
        ({"language": ("zh",)}, []),
        ({"reviewed": True}, [True]),
        ({"reviewed": False}, [True, False]),
        ({"max_position": 0}, [True, True]),
        ({"policy": ("nobody",)}, []),
        ({"on_policy": False}, [False]),
    ],
)
def test_judgements_can_be_filtered(
    db: Session,
    project: Project,
    export: Exporter,
    desk: Desk,
    wanted: dict[str, Any],
    labels: list[bool],
) -> None:
    other = sit_down(db, add_sample(db, project=project), "bob")
    other.accept(1)
    finish(other)
    if not labels:
        with pytest.raises(Conflict, match="No judgement matches the filters"):
            export("kto", **wanted)
        return
    export("kto", **wanted)
    assert [row["label"] for row in export.rows("kto/metadata.jsonl")] == labels


@pytest.mark.parametrize(
    ("format", "wanted"),
    [("kto", {"min_edit": 3}), ("kto", {"newest_only": True}), ("sft", {"policy": ("qwen",)})],
)
def test_a_filter_that_means_nothing_is_refused_by_name(
    export: Exporter, desk: Desk, format: str, wanted: dict[str, Any]
) -> None:
    (name,) = wanted
    with pytest.raises(Invalid, match=f"cannot be filtered by {name}") as refused:
        export(format, **wanted)
    assert "Available filters: project, " in refused.value.message
    assert not (export.place / format).exists()


def test_what_two_annotators_say_alike_leaves_once(
    db: Session, project: Project, export: Exporter, store: ImageStore
) -> None:
    sample = add_sample(db, project=project)
    for name, numbers in (("lin", (1, 2)), ("bob", (1,))):
        desk = sit_down(db, sample, name)
        for number in numbers:
            desk.accept(number)
    tally = export("kto")
    assert (tally.pairs, tally.left_out) == (2, {Check.DUPLICATE: 1})
    left_out = export.manifest("kto")["left_out"]["duplicate"]
    assert left_out["judgements"] == 1
    assert left_out["first_judgement_ids"] == [f"{desk.draft.id}-{desk.at(1).id}"]


@pytest.mark.parametrize("format", ["llamafactory", "llamafactory-exact", "ms-swift"])
def test_the_place_of_an_image_in_a_text_keeps_it_back(
    db: Session, project: Project, export: Exporter, desk: Desk, format: str
) -> None:
    finish(desk)
    tagged = sit_down(db, add_sample(db, project=project), "bob")
    tagged.correct(1, "## Slide 1\nWrite <ima")
    tagged.correct(2, "ge> here, and <video> there.")
    finish(tagged)
    tally = export(format)
    assert tally.left_out[Check.RESERVED] >= 1
    assert "<video>" not in (export.place / format / FORMATS[format].file).read_text()
    assert "| reserved |" in (export.place / format / "README.md").read_text()
    assert export("trl").left_out == {}


def test_a_text_that_one_file_cannot_hold_leaves_in_the_others(
    db: Session, project: Project, export: Exporter
) -> None:
    instruction = "Put <image> where the picture belongs."
    sample = add_sample(db, project=project)
    sample.instruction = instruction
    tagged = sit_down(db, sample, "lin")
    tagged.accept(1)
    finish(tagged)
    # As people meet it: the only text of the project.
    tally = export("sft")
    assert (tally.pairs, tally.left_out, tally.unheld) == (1, {}, {"sharegpt.jsonl": 1})
    assert instruction in export.rows("sft/outputs.jsonl")[0]["prompt"]
    assert instruction in export.rows("sft/segments.jsonl")[0]["prompt"]
    assert export.rows("sft/sharegpt.jsonl") == []
    readme = (export.place / "sft" / "README.md").read_text()
    assert "Left out of `sharegpt.jsonl` alone: 1. A text holds <image>" in readme
    assert export.manifest("sft")["unheld"]["sharegpt.jsonl"]["left_out"] == 1
    assert export.manifest("sft")["rows"] == 2


def test_a_tag_that_two_segments_make_together_is_found(
    db: Session, project: Project, export: Exporter
) -> None:
    desk = sit_down(
        db, add_sample(db, project=project, texts=("One <vid", "eo> two.\n\n", "End.")), "lin"
    )
    desk.correct(2, "eo> three.\n\n")
    with pytest.raises(
        Conflict, match=r"left out: 1 × reserved \(strings reserved by the format\)"
    ):
        export("ms-swift")
    assert export("trl").pairs == 1
