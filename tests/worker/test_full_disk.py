"""A full disk: a save says so and keeps the text, and all goes on when there is space again."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.annotation.edits.path import Path as TreePath
from app.models import Draft
from app.regenerations import leaf
from tests.browser.desk import Task, add_task
from tests.support.studio import Studio, studio

MEGABYTES = 160
TYPED = "Long text of an annotator. " * 2000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which only root can make."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", place], check=True)  # noqa: S607
    yield place
    subprocess.run(["umount", "-l", place], check=True)  # noqa: S607


def fill(place: Path) -> Path:
    """A file that takes what is left."""
    ballast = place / "ballast"
    file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    for size in (2**20, 4096):
        try:
            while os.write(file, b"x" * size):
                pass
        except OSError:
            continue
    os.close(file)
    return ballast


def save(house: Studio, browser: httpx.Client, task: Task) -> httpx.Response:
    """A correction of the second segment, as the form without script sends it."""
    with house.sessions() as db:
        draft = db.get_one(Draft, task.draft.id)
        segment = TreePath.load(db, leaf(db, draft)).steps[1]
        version = draft.version
    return browser.put(
        f"/drafts/{task.draft.id}/segments/{segment.id}/correction",
        data={"text": TYPED, "mode": "continue", "base_version": str(version)},
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small file system")
def test_a_save_on_a_full_disk_says_so_and_works_when_there_is_space(small: Path) -> None:
    with studio(small / "data") as house:
        task = add_task(house)
        house.start("app")
        app = house.running["app"]
        with house.client(task.user) as browser:
            ballast = fill(small)
            saved = save(house, browser, task)
            assert saved.status_code == 507, saved.text[-500:]
            assert "disk is full" in saved.text
            assert TYPED in saved.text
            ready = browser.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (503, "the disk is full")

            ballast.unlink()
            deadline = time.monotonic() + 60
            while (saved := save(house, browser, task)).status_code >= 500:
                assert time.monotonic() < deadline, saved.text[-500:]
                time.sleep(0.5)
            assert saved.status_code < 400
            assert browser.get("/readyz").status_code == 200
        assert app.poll() is None
