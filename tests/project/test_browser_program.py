"""Which browser the tests take, on machines of every kind."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from app.settings import ROOT
from tests.browser import program

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a program on a PATH where nothing else is; Playwright has no browser of its own."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "browsers"))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(program, "MACOS", ())

    def put(name: str, *, status: int = 0, at: Path = place) -> Path:
        at.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (at / name).chmod(0o755)
        return at / name

    return put


@pytest.mark.parametrize("name", program.NAMES)
def test_any_chromium_or_chrome_on_the_path_is_taken(install: Install, name: str) -> None:
    installed = install(name)
    assert program.find() == installed


def test_one_that_does_not_start_is_passed_over(install: Install) -> None:
    install("chromium", status=1)
    good = install("google-chrome")
    assert program.find() == good


def test_the_one_that_is_named_wins_and_must_start(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("chromium")
    elsewhere = install("browser", at=tmp_path / "else where")
    monkeypatch.setenv("CHROMIUM", str(elsewhere))
    assert program.find() == elsewhere
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "none"))
    with pytest.raises(LookupError, match="none, which does not start"):
        program.find()


def test_the_one_of_playwright_is_the_last(install: Install) -> None:
    with pytest.raises(LookupError, match="no Chromium or Chrome on the PATH"):
        program.find()
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    install(own.name, at=own.parent)
    assert program.find() == own


def test_make_test_says_what_to_do_about_a_browser_that_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / ".ci" / "chromium"],
        env={**os.environ, "CHROMIUM": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"CHROMIUM names {tmp_path / 'none'}" in done.stderr
    assert "make test-without-browser" in done.stderr
    found = subprocess.run(
        [ROOT / ".ci" / "chromium"],
        env={**os.environ, "CHROMIUM": sys.executable},
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0
