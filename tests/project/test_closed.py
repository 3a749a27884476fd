"""`make demo` in a directory that nobody else may enter: root's home on a rented machine."""

import stat
from pathlib import Path

import httpx
import pytest

from tests.project.installs import clone_at, free_port, running_demo


def close_all(place: Path) -> None:
    """As after `umask 077`: no file and no directory is for others."""
    for path in [place, *place.rglob("*")]:
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o700)


@pytest.mark.parametrize("closed", ["the directory above", "every file"])
def test_make_demo_runs_whole_from_a_clone_in_a_closed_directory(
    tmp_path: Path, closed: str
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    clone = clone_at(home / "iterdpo-studio")
    if closed == "every file":
        close_all(clone)
    port = free_port()
    with running_demo(["make", "demo", f"PORT={port}"], clone) as said:
        assert f"http://localhost:{port}" in said
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
        assert (clone / "data" / "postgres" / "PG_VERSION").exists()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
