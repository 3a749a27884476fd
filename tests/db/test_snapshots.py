"""Snapshots: the same filter on the same data is the same content, and what is ready stays."""

import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import datasets
import psycopg
import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import IntegrityError

from app.domain.splits import Split, SplitPlan
from app.models import AuditEvent, Correction, Project, Snapshot, SnapshotState, now
from app.refusals import Conflict, Invalid, NotFound
from app.snapshots import attempts, service
from app.snapshots.queries import comparison
from tests.support.factories import add_sample
from tests.support.pairing import add_pair
from tests.support.snapshots import Vault, source_ids, vault


@pytest.fixture
def kept(committed_database: str, tmp_path: Path) -> Iterator[Vault]:
    with vault(committed_database, tmp_path) as made:
        yield made


def rows(archive: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each split."""
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        return {
            name.split("/")[1]: [json.loads(line) for line in file.read(name).splitlines()]
            for name in file.namelist()
            if name.endswith("metadata.jsonl")
        }


def test_the_same_filter_on_the_same_data_is_the_same_content(kept: Vault) -> None:
    kept.fill(16)
    wishes: dict[str, Any] = {"validation": 0.3, "seed": 5}
    one, two = kept.make("one", **wishes), kept.make("two", **wishes)
    assert one.content_hash == two.content_hash
    assert one.counts == two.counts
    other = kept.make("other", validation=0.3, seed=6)
    assert other.content_hash != one.content_hash


def test_a_snapshot_made_again_under_its_name_is_the_same_file(kept: Vault) -> None:
    kept.fill()
    first = kept.make("one")
    content = kept.archive(first).read_bytes()
    with kept.sessions.begin() as db:
        service.delete(db, store=kept.store, snapshot=db.get_one(Snapshot, first.id), actor_id=None)
    assert not (kept.store.root / str(first.id)).exists()
    second = kept.make("one")
    assert kept.archive(second).read_bytes() == content
    assert second.archive_sha256 == hashlib.sha256(content).hexdigest()
    assert second.size == len(content)


def test_new_data_is_new_content(kept: Vault) -> None:
    (sample_id, *_) = kept.fill()
    one = kept.make("one")
    with kept.sessions.begin() as db:
        db.execute(
            update(Correction).where(Correction.sample_id == sample_id).values(retracted_at=now())
        )
    two = kept.make("two")
    assert one.content_hash != two.content_hash
    assert (one.counts or {})["pairs"] == 12
    assert (two.counts or {})["pairs"] == 10
    assert (two.counts or {})["left_out"] == {"retracted": 2}


def test_anybody_can_check_the_content_hash(kept: Vault, tmp_path: Path) -> None:
    kept.fill()
    made = kept.make("one", validation=0.5, seed=1)
    with zipfile.ZipFile(kept.archive(made)) as file:
        file.extractall(tmp_path / "out")
    root = tmp_path / "out" / "one"
    subprocess.run(
        ["/usr/bin/env", "sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=root, check=True
    )
    sums = (root / "SHA256SUMS").read_bytes()
    assert hashlib.sha256(sums).hexdigest() == made.content_hash
    named = {line.split("  ")[1] for line in sums.decode().splitlines()}
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert {name for name in there if "images/" in name or name.endswith("jsonl")} == named
    assert made.content_hash in (root / "README.md").read_text()


def test_datasets_finds_splits_rows_and_images(
    kept: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.fill(12)
    made = kept.make("one", validation=0.3, test=0.2, seed=2)
    with zipfile.ZipFile(kept.archive(made)) as file:
        file.extractall(tmp_path)
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    loaded = datasets.load_dataset(str(tmp_path / "one"), cache_dir=str(tmp_path / "cache"))
    counted = {name: split["pairs"] for name, split in (made.counts or {})["splits"].items()}
    assert {name: len(split) for name, split in loaded.items()} == counted
    assert set(counted) == {"train", "validation", "test"}
    assert loaded["test"][0]["images"][0].size == (64, 48)


def test_a_sample_is_in_one_split_and_keeps_it(kept: Vault) -> None:
    kept.fill(12)
    wishes: dict[str, Any] = {"validation": 0.4, "test": 0.2, "seed": 9}
    before = split_of_samples(kept, kept.make("one", **wishes))
    kept.fill(12)
    after = split_of_samples(kept, kept.make("two", **wishes))
    assert len(before) == 12
    assert len(after) == 24
    assert {sample: after[sample] for sample in before} == before


def split_of_samples(kept: Vault, snapshot: Snapshot) -> dict[str, str]:
    found: dict[str, str] = {}
    for split, held in rows(kept.archive(snapshot)).items():
        for row in held:
            sample = kept_sample(kept, int(row["pair_id"]))
            assert found.setdefault(sample, split) == split
            assert SplitPlan(validation=0.4, test=0.2, seed=9).split_of(sample) is Split(split)
    return found


def kept_sample(kept: Vault, pair_id: int) -> str:
    with kept.sessions() as db:
        return str(
            db.scalar(
                text(
                    "SELECT source_id FROM samples s JOIN corrections c ON c.sample_id = s.id "
                    "WHERE c.id = :id"
                ),
                {"id": pair_id},
            )
        )


def test_no_image_is_in_two_splits_when_asked(kept: Vault) -> None:
    kept.fill(12)
    kept.fill(8, shared=True)
    made = kept.make("one", validation=0.3, test=0.2, separate_images=True, seed=4)
    shown = {
        split: {name for row in held for name in row["images_file_names"]}
        for split, held in rows(kept.archive(made)).items()
    }
    assert len(shown) > 1
    names = [name for split in shown.values() for name in split]
    assert len(names) == len(set(names))
    assert (made.counts or {})["linked"]["samples"] >= 8


def test_a_pair_that_is_trained_on_is_not_held_out_as_a_duplicate(kept: Vault) -> None:
    """Two samples of the same images and texts: one pair leaves, in one split."""
    with kept.sessions.begin() as db:
        project = db.get_one(Project, kept.project_id)
        for _ in range(30):
            sample = add_sample(db, project=project)
            add_pair(db, sample=sample, number=1, text="The very same words.\n\n")
    made = kept.make("one", validation=0.4, seed=1, separate_images=False)
    assert (made.counts or {})["pairs"] == 1
    assert (made.counts or {})["left_out"] == {"duplicate": 29}


def test_a_split_that_holds_nothing_is_counted_and_so_is_what_was_taken_back_in_it(
    kept: Vault,
) -> None:
    samples = kept.fill(12)
    plan = SplitPlan(validation=0.4, seed=1)
    with kept.sessions.begin() as db:
        for name, sample_id in zip(source_ids(db, samples), samples, strict=True):
            if plan.split_of(name) is Split.VALIDATION:
                mine = update(Correction).where(Correction.sample_id == sample_id)
                db.execute(mine.values(retracted_at=now()))
    counts = kept.make("one", validation=0.4, seed=1).counts or {}
    assert counts["splits"]["validation"]["rows"] == 0
    assert counts["pairs"] + counts["left_out"]["retracted"] == 24
    assert set((kept.make("two").counts or {})["splits"]) == {"train"}


def test_a_snapshot_without_pairs_fails_and_says_why(kept: Vault) -> None:
    snapshot_id = kept.ask()
    assert not kept.build(snapshot_id)
    row = kept.row(snapshot_id)
    assert row.state is SnapshotState.FAILED
    assert row.error
    assert row.error.startswith("The project has no pairs yet.")
    kept.fill(1)
    with kept.sessions.begin() as db:
        service.try_again(db, store=kept.store, snapshot=db.get_one(Snapshot, snapshot_id))
    assert kept.build(snapshot_id)


def test_a_missing_image_fails_it(kept: Vault, tmp_path: Path) -> None:
    kept.fill(2)
    for path in (tmp_path / "images").rglob("*.png"):
        path.unlink()
    snapshot_id = kept.ask()
    assert not kept.build(snapshot_id)
    assert kept.row(snapshot_id).state is SnapshotState.FAILED
    assert list((kept.store.root / str(snapshot_id)).iterdir()) == []


def test_a_worker_with_another_data_directory_says_so(kept: Vault, tmp_path: Path) -> None:
    kept.fill(1)
    snapshot_id = kept.ask()
    kept.store = type(kept.store)(tmp_path / "elsewhere")
    assert not kept.build(snapshot_id)
    assert "its data directory differs from the app" in (kept.row(snapshot_id).error or "")


def test_names_are_unique_in_a_project_and_have_a_form(kept: Vault) -> None:
    kept.ask("round-1")
    with pytest.raises(Conflict, match="already"):
        kept.ask("round-1")
    for wrong in ("Round", "", ".x", "a b", "x" * 65, "ü"):
        with pytest.raises(Invalid, match="lowercase letters"):
            kept.ask(wrong)
    with pytest.raises(Invalid, match="Formats: "):
        kept.ask("x", format="csv")


def test_a_ready_snapshot_never_changes(kept: Vault) -> None:
    kept.fill(1)
    made = kept.make()
    for change in ({"error": "x"}, {"content_hash": "0" * 64}, {"size": 1}, {"name": "y"}):
        with (
            pytest.raises(IntegrityError) as refused,
            kept.sessions.begin() as db,
        ):
            db.execute(update(Snapshot).where(Snapshot.id == made.id).values(**change))
        assert isinstance(refused.value.orig, psycopg.errors.RestrictViolation)


def test_a_deletion_is_recorded_with_what_it_deleted(kept: Vault) -> None:
    kept.fill(1)
    made = kept.make()
    with kept.sessions.begin() as db:
        service.delete(db, store=kept.store, snapshot=db.get_one(Snapshot, made.id), actor_id=None)
    with kept.sessions() as db:
        event = db.query(AuditEvent).filter_by(action="snapshot_deleted").one()
    assert event.details == {"name": "round-1", "content_hash": made.content_hash, "pairs": 2}


def test_files_stay_when_the_deletion_is_rolled_back(kept: Vault) -> None:
    kept.fill(1)
    made = kept.make()
    with kept.sessions() as db:
        service.delete(db, store=kept.store, snapshot=db.get_one(Snapshot, made.id), actor_id=None)
        db.rollback()
    assert kept.archive(made).is_file()


def test_a_builder_that_lost_its_snapshot_keeps_nothing(kept: Vault) -> None:
    kept.fill(1)
    snapshot_id = kept.ask()
    zombie = kept.start(snapshot_id)
    end_lease(kept, snapshot_id)
    with kept.sessions.begin() as db:
        assert attempts.recover(db).requeued == (snapshot_id,)
    assert kept.build(snapshot_id)
    ready = kept.row(snapshot_id)
    result = attempts.Result({}, "0" * 64, "0" * 64, 1, {})
    with kept.sessions.begin() as db:
        assert not attempts.advance(db, zombie, stage="pairs", done=1, total=2, lease_s=5)
        assert not attempts.finish(db, zombie, result)
        assert not attempts.fail(db, zombie, "x")
        assert not attempts.give_back(db, snapshot_id=snapshot_id, worker="zombie")
        assert not attempts.died(db, snapshot_id=snapshot_id, worker="zombie")
    assert kept.row(snapshot_id).content_hash == ready.content_hash


def end_lease(kept: Vault, snapshot_id: int) -> None:
    with kept.sessions.begin() as db:
        row = db.get_one(Snapshot, snapshot_id)
        row.lease_until = now() - timedelta(seconds=1)


def test_a_snapshot_whose_builders_keep_dying_fails(kept: Vault) -> None:
    snapshot_id = kept.ask()
    for _ in range(attempts.MAX_FAILURES):
        kept.start(snapshot_id)
        end_lease(kept, snapshot_id)
        with kept.sessions.begin() as db:
            found = attempts.recover(db)
    assert found.failed == (snapshot_id,)
    assert "died 3 times" in (kept.row(snapshot_id).error or "")


def test_a_snapshot_whose_builders_die_before_they_take_it_fails(kept: Vault) -> None:
    snapshot_id = kept.ask()
    for _ in range(attempts.MAX_FAILURES):
        assert kept.row(snapshot_id).state is SnapshotState.QUEUED
        with kept.sessions.begin() as db:
            assert attempts.died(db, snapshot_id=snapshot_id, worker="never started")
    row = kept.row(snapshot_id)
    assert row.state is SnapshotState.FAILED
    assert "died 3 times" in (row.error or "")


def test_a_death_is_not_counted_against_another_builder(kept: Vault) -> None:
    snapshot_id = kept.ask()
    kept.start(snapshot_id)
    with kept.sessions.begin() as db:
        assert not attempts.died(db, snapshot_id=snapshot_id, worker="another")
    assert kept.row(snapshot_id).failures == 0


def test_a_snapshot_without_a_job_gets_one(kept: Vault) -> None:
    snapshot_id = kept.ask()
    with kept.sessions.begin() as db:
        assert not attempts.recover(db)
        db.execute(text("DELETE FROM procrastinate_jobs"))
    with kept.sessions.begin() as db:
        assert attempts.recover(db).deferred == (snapshot_id,)
    with kept.sessions.begin() as db:
        assert not attempts.recover(db)


def test_deleting_it_stops_who_builds_it(kept: Vault) -> None:
    snapshot_id = kept.ask()
    work = kept.start(snapshot_id)
    with kept.sessions.begin() as db:
        db.execute(delete(Snapshot).where(Snapshot.id == snapshot_id))
    with kept.sessions.begin() as db:
        assert not attempts.advance(db, work, stage="pairs", done=0, total=1, lease_s=5)


def test_two_snapshots_are_compared_pair_by_pair(kept: Vault) -> None:
    gone, *_ = kept.fill(3)
    one = kept.make("one", validation=0.5, seed=1)
    with kept.sessions.begin() as db:
        db.execute(
            update(Correction).where(Correction.sample_id == gone).values(retracted_at=now())
        )
    kept.fill(1)
    two = kept.make("two", validation=0.5, seed=1, format="raw")
    found = comparison(kept.store, one, two, shown=10)
    assert {kind.value: count for kind, count in found.counts.items()} == {
        "added": 2,
        "removed": 2,
        "changed": 0,
        "moved": 0,
    }
    assert found.same == 4


def test_what_no_row_names_is_swept_after_a_day(kept: Vault) -> None:
    kept.fill(1)
    made = kept.make()
    lost = kept.store.root / "999"
    lost.mkdir()
    assert kept.store.sweep({made.id}) == 0
    old = (now() - timedelta(days=2)).timestamp()
    for path in (lost, kept.store.root / str(made.id)):
        os.utime(path, (old, old))
    assert kept.store.sweep({made.id}) == 1
    assert not lost.exists()
    assert kept.archive(made).is_file()


def test_files_that_are_gone_are_said_to_be(kept: Vault) -> None:
    kept.fill(1)
    made = kept.make()
    kept.store.drop(made.id)
    with pytest.raises(NotFound, match="create it again"):
        kept.store.archive(made.id, made.attempt)
