"""The wheel: built from the sources, installed away from them, and the demo up from anywhere."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from app.settings import ROOT
from tests.project.installs import (
    copy_sources,
    correct_something,
    environment_at,
    free_port,
    running_demo,
    share,
)
from tests.project.tracked import tracked_files

# What stands at the top of the repository and goes into the package `app`.
MOVED = ("migrations", "static", "templates")
PACKAGES = ("app", "iterdpo", "worker")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the source distribution and the wheel that was built from it."""
    place = tmp_path_factory.mktemp("built")
    sources = place / "sources"
    copy_sources(sources)
    command = [
        str(Path(sys.executable).with_name("uv")),
        "build",
        "--offline",
        "--no-build-isolation",
    ]
    done = subprocess.run(
        [*command, "--python", sys.executable, "--out-dir", str(place / "dist"), str(sources)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place / "dist"


@pytest.fixture(scope="module")
def command(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`iterdpo` in an environment that has the wheel and everything it depends on, no sources."""
    place = tmp_path_factory.mktemp("installed") / "environment"
    packages = environment_at(place)
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install"]
    quietly = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, *quietly, str(wheel)], check=True)
    share(packages)
    return place / "bin" / "iterdpo"


def expected() -> set[str]:
    """The names that the wheel must hold, from what git tracks."""
    names = {path.relative_to(ROOT).as_posix() for path in tracked_files()}
    return {name for name in names if name.partition("/")[0] in PACKAGES} | {
        f"app/{name}" for name in names if name.partition("/")[0] in MOVED
    }


def test_the_wheel_holds_every_file_of_the_program_and_no_common_name(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == expected()


def test_the_source_distribution_holds_the_documents_too(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {path.relative_to(ROOT).as_posix() for path in tracked_files()}
    wanted = {
        name
        for name in tracked
        if name.partition("/")[0] in (*PACKAGES, *MOVED, "docs")
        or name in ("README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "setup.py")
    }
    assert wanted <= held


def test_the_demo_of_an_installed_wheel_runs_in_any_directory(
    command: Path, tmp_path: Path
) -> None:
    place = tmp_path / "somebody's project"
    # The names of our packages, as people give them to their own programs.
    for name in PACKAGES:
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").write_text("raise RuntimeError('another program')\n")
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["ITERDPO_REPLAY_WORDS_PER_S"] = "3000"
    with running_demo([command, "demo", "--port", str(port)], place, environment) as said:
        address = f"http://localhost:{port}"
        assert address in said
        assert (place / "data" / "postgres").is_dir()
        page = httpx.get(f"{address}/login", timeout=5)
        style = page.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
        assert httpx.get(f"{address}{style}", timeout=5).status_code == 200
        in_chinese = httpx.get(f"{address}/login", headers={"Accept-Language": "zh-CN"}, timeout=5)
        assert "登录" in in_chinese.text
        streamed = correct_something(address)
        assert "event: tok" in streamed
        assert '"state":"done"' in streamed


def test_an_extra_is_named_behind_the_file_or_once_it_is_installed(
    built: Path, command: Path
) -> None:
    """Without an index: what names no file is the wheel that is there already."""
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(command.with_name("python")), "install"]
    for requirement in (f"{wheel}[parquet]", "iterdpo-studio[parquet]"):
        done = subprocess.run(
            [*pip, "--dry-run", "--no-index", requirement],
            env={**os.environ, "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "already satisfied: pyarrow" in done.stdout


def test_the_image_builds_the_same_wheel_from_what_it_copies(tmp_path: Path) -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {
        name
        for line in lines
        if (match := re.fullmatch(r"COPY (.+) /source/\S*", line))
        for name in match[1].split()
    }
    allowed = (ROOT / ".dockerignore").read_text().split()
    assert {f"!{name}" for name in copied} == {*allowed} - {
        "*",
        "!requirements/*.txt",
        "**/__pycache__",
    }
    sources = tmp_path / "source"
    copy_sources(sources)
    for path in sources.iterdir():
        if path.name not in copied:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", *build, "--wheel-dir", str(tmp_path), str(sources)],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == expected()
