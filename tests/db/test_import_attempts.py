"""Attempts at imports: leases, deaths, and files that nobody needs any more."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.models import Import, ImportState, Project, now
from app.samples.importing import ImportReport, Progress
from app.samples.imports import attempts
from app.samples.imports.upload_store import UploadStore
from tests.support.factories import add_project

LEASE_S = 10.0


@pytest.fixture
def project(db: Session) -> Project:
    return add_project(db)


def waiting(db: Session, project: Project, upload: str = "x" * 22) -> Import:
    made = Import(
        project_id=project.id, source="s", upload=upload, policy="imported", instruction="Write."
    )
    db.add(made)
    db.flush()
    db.refresh(made)
    return made


def begin(db: Session, made: Import) -> attempts.Work | None:
    return attempts.start(db, import_id=made.id, worker="w", lease_s=LEASE_S)


def end_lease(db: Session, made: Import) -> None:
    past = now() - timedelta(seconds=1)
    db.execute(update(Import).where(Import.id == made.id).values(lease_until=past))


def test_one_import_of_a_project_runs_at_a_time(db: Session, project: Project) -> None:
    first, second, other = (
        waiting(db, project), waiting(db, project), waiting(db, add_project(db))
    )  # fmt: skip
    work = begin(db, first)
    assert work is not None
    assert begin(db, second) is None
    assert begin(db, other) is not None
    assert attempts.fail(db, work, "No.")
    assert begin(db, second) is not None


def test_who_lost_the_lease_writes_nothing(db: Session, project: Project) -> None:
    made = waiting(db, project)
    work = begin(db, made)
    assert work is not None
    end_lease(db, made)
    assert attempts.recover(db).requeued == (made.id,)
    again = begin(db, made)
    assert again is not None
    assert again.attempt == 2
    report = ImportReport(1, 0, 0, 1, 0)
    assert not attempts.advance(db, work, Progress(1, 0, 0.5), lease_s=LEASE_S)
    assert not attempts.finish(db, work, report)
    assert not attempts.fail(db, work, "No.")
    assert attempts.finish(db, again, report)


def test_after_three_deaths_it_has_failed_and_its_upload_is_dropped(
    db: Session, project: Project
) -> None:
    made = waiting(db, project)
    for death in range(1, attempts.MAX_FAILURES + 1):
        assert begin(db, made) is not None
        end_lease(db, made)
        found = attempts.recover(db)
        assert found.dropped == (("x" * 22,) if death == attempts.MAX_FAILURES else ())
    db.refresh(made)
    assert (made.state, made.upload) == (ImportState.FAILED, None)
    assert made.error == ("The process that was importing it died, 3 times. See the worker's log.")


def test_what_waits_without_a_job_gets_one(db: Session, project: Project) -> None:
    made = waiting(db, project)
    assert attempts.recover(db).deferred == (made.id,)
    assert not attempts.recover(db)


def test_the_sweep_removes_what_is_old_and_in_no_use(tmp_path: Path) -> None:
    store = UploadStore(tmp_path)
    names = [store.new_name() for _ in range(3)]
    for name in names:
        file = tmp_path / "file"
        file.write_bytes(b"x")
        store.take(name, file, None)
    arriving = tmp_path / "tmpabc"
    arriving.mkdir()
    old = time.time() - 2 * 86_400
    for folder in (*(tmp_path / "imports" / name for name in names[:2]), arriving):
        os.utime(folder, (old, old))
    assert store.sweep({names[0]}) == 2
    assert store.files(names[0]).file.read_bytes() == b"x"
    assert {path.name for path in (tmp_path / "imports").iterdir()} == {names[0], names[2]}
