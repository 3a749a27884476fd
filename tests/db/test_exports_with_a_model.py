"""Rows rendered with a model's own template, in exports and in snapshots."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.annotation.edits import assignment
from app.domain.filters import PairFilter
from app.domain.prompts import ChatPrompt, Template
from app.domain.quality import Check, Gate
from app.domain.splits import SplitPlan
from app.exports.export import Order, export_directory
from app.exports.formats import FORMATS, Rendering
from app.exports.model_template import load_template, restore_template
from app.images.store import ImageStore
from app.models import Project, Sample, Snapshot
from app.refusals import Conflict, Invalid
from app.snapshots import service
from app.snapshots.hub import facts_of
from app.snapshots.queries import comparison, snapshot_view
from tests.db.conftest import Desk
from tests.db.test_model_template import SMALL, model
from tests.support.factories import add_draft, add_project, add_sample, add_user
from tests.support.pairing import add_pair
from tests.support.snapshots import Vault, vault

SHA256 = hashlib.sha256(SMALL.encode()).hexdigest()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return model(tmp_path / "tiny", SMALL)


@pytest.fixture
def kept(committed_database: str, tmp_path: Path) -> Iterator[Vault]:
    with vault(committed_database, tmp_path) as made:
        yield made


def order(tiny: Path, format: str = "trl") -> Order:
    rendering = Rendering(load_template(tiny), folder=format)
    return Order(PairFilter(project=("lectures",)), FORMATS[format], rendering, Gate())


def test_rows_are_rendered_with_it_and_its_tokens_stay_out(
    db: Session, tiny: Path, tmp_path: Path
) -> None:
    project = add_project(db, name="lectures")
    good, bad, apart = (add_sample(db, project=project) for _ in range(3))
    add_pair(db, sample=good, number=1, text="## Slide 1\nHello.\n\n")
    add_pair(db, sample=bad, number=2, text="The chart ends <end> here.\n\n")
    add_pair(db, sample=apart, number=4, text="Goodbye.")
    out = tmp_path / "trl"
    tally = export_directory(
        db, order(tiny), projects=[project.id], out=out, store=ImageStore(tmp_path / "images")
    )
    assert tally.left_out == {Check.SPECIAL: 1}
    rows = [json.loads(line) for line in (out / "metadata.jsonl").read_bytes().splitlines()]
    assert [row["prompt"][-16:] for row in rows][:1] == ["<turn assistant>"]
    assert rows[1]["chosen"] == "Goodbye.<end>"
    manifest = json.loads((out / "manifest.yaml").read_text())
    assert (manifest["template"], manifest["template_sha256"]) == ("tiny", SHA256)
    assert str(tiny) not in (out / "manifest.yaml").read_text()
    built_in = Rendering(Template.QWEN3_VL, folder="trl")
    assert (
        "template_sha256" not in Order(PairFilter(), FORMATS["trl"], built_in, Gate()).canonical()
    )


def test_a_format_that_knows_other_images_refuses_it(tiny: Path) -> None:
    with pytest.raises(Invalid, match=r"llamafactory-exact marks images with .* uses <img>"):
        order(tiny, "llamafactory-exact")


def test_a_saved_template_renders_where_its_directory_is_not(tiny: Path) -> None:
    loaded = load_template(tiny)
    saved = json.loads(json.dumps(loaded.saved()))
    shutil.rmtree(tiny)
    restored = restore_template(saved)
    assert restored.sha256 == loaded.sha256 == SHA256
    assert restored.special_strings == loaded.special_strings
    prompt = ChatPrompt("", ("a", "b"), "Go.", "")
    assert restored.render(prompt) == loaded.render(prompt)
    assert restored.model == "tiny"


def test_a_snapshot_keeps_the_template_until_it_is_built(kept: Vault, tiny: Path) -> None:
    kept.fill(2)
    with kept.sessions.begin() as db:
        made = service.create(
            db,
            store=kept.store,
            project=db.get_one(Project, kept.project_id),
            name="own",
            format="trl",
            filter=PairFilter(),
            gate=Gate(),
            plan=SplitPlan(),
            actor_id=None,
            model=load_template(tiny),
        ).id
    shutil.rmtree(tiny)
    assert kept.build(made)
    with kept.sessions() as db:
        view = snapshot_view(db, snapshot_id=made)
        snapshot = db.get_one(Snapshot, made)
        assert (snapshot.manifest or {})["template_sha256"] == SHA256
    assert facts_of(view).template == "tiny"
    with zipfile.ZipFile(kept.archive(snapshot)) as file:
        rows = file.read("own/train/metadata.jsonl").decode().splitlines()
    assert json.loads(rows[0])["prompt"].startswith("<turn user><img><img>")


@pytest.mark.parametrize("format", ["kto", "sft"])
def test_a_snapshot_of_what_is_not_there_says_how_it_comes(kept: Vault, format: str) -> None:
    kept.fill(1)
    made = kept.ask("none", format=format)
    assert not kept.build(made)
    with kept.sessions() as db:
        assert "yet" in (snapshot_view(db, snapshot_id=made).error or "")


def test_a_snapshot_of_a_table_has_its_rows_and_images(kept: Vault) -> None:
    kept.fill(3)
    snapshot = kept.make("table", format="parquet")
    with zipfile.ZipFile(kept.archive(snapshot)) as file:
        names = file.namelist()
    assert "table/train/pairs.parquet" in names
    assert "table/train/images.parquet" in names
    assert (snapshot.counts or {})["pairs"] == 6
    again = kept.make("again", format="parquet")
    assert again.content_hash == snapshot.content_hash


def test_a_snapshot_of_finished_texts_has_three_files_a_split(kept: Vault) -> None:
    samples = kept.fill(6)
    with kept.sessions.begin() as db:
        for sample_id in samples:
            user = add_user(db)
            draft = add_draft(db, sample=db.get_one(Sample, sample_id), user=user)
            Desk(db, draft, user).accept(1)
            assignment.finish(db, draft=draft, base_version=draft.version)
    texts = kept.make("texts", format="sft", validation=0.5, seed=1)
    judged = kept.make("judged", format="kto", validation=0.5, seed=1)
    with zipfile.ZipFile(kept.archive(texts)) as file:
        assert file.testzip() is None
        for split in ("train", "validation"):
            for name in ("outputs", "segments", "sharegpt"):
                assert file.read(f"texts/{split}/{name}.jsonl")
    assert (texts.counts or {})["pairs"] == (judged.counts or {})["pairs"] == 6
    assert (texts.counts or {})["rows"] == 18
    assert kept.make("again", format="sft", validation=0.5, seed=1).content_hash == (
        texts.content_hash
    )
    with kept.sessions() as db:
        old, new = (snapshot_view(db, snapshot_id=one.id) for one in (texts, judged))
    with pytest.raises(Conflict, match="no rows in common"):
        comparison(kept.store, old, new, shown=1)
