"""An import that is killed goes on: an image that is in the store is not done again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image as Pillow
from sqlalchemy import Select, func, select

from app.models import Project, Sample
from app.settings import ROOT
from tests.support.factories import add_project
from tests.support.imports import lines, row
from tests.support.studio import studio

IMAGES = 120


def test_an_import_that_is_killed_does_no_image_twice(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = [f"{number}.png" for number in range(IMAGES)]
    for name in names:
        Pillow.effect_noise((1600, 900), 60).save(folder / name)
    (folder / "s.jsonl").write_bytes(
        lines(*(row(number, images=names[number::10]) for number in range(10)))
    )
    with studio(tmp_path / "data") as made:
        with made.sessions.begin() as db:
            project = add_project(db)
            project_id, name = project.id, project.name
        store = made.data / "images"
        command = [sys.executable, "-m", "app.cli", "import", name, str(folder / "s.jsonl")]
        environment = os.environ | {"ITERDPO_DATA": str(made.data)}
        with subprocess.Popen(command, cwd=ROOT, env=environment) as first:
            deadline = time.monotonic() + 120
            while len(originals(store)) < 20:
                assert first.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(first.pid, signal.SIGKILL)
        kept = originals(store)
        assert 20 <= len(kept) < IMAGES
        with made.sessions() as db:
            assert db.scalar(samples_of(project_id)) == 0
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=150)
        with made.sessions() as db:
            assert db.get_one(Project, project_id)
            assert db.scalar(samples_of(project_id)) == 10
        after = originals(store)
        assert len(after) == IMAGES
        # A file that is written again is another file.
        assert {path: after[path] for path in kept} == kept


def samples_of(project_id: int) -> Select[int]:
    return select(func.count()).select_from(Sample).where(Sample.project_id == project_id)


def originals(store: Path) -> dict[str, tuple[int, int]]:
    """The images that are whole, each with its smallest rendition: (inode, inode)."""
    return {
        path.stem: (path.stat().st_ino, path.with_name(f"{path.stem}-320.webp").stat().st_ino)
        for path in store.glob("*/*.png")
    }
