"""The browser that the tests drive; by itself a command that prints it, or what to do without.

In this order: what the variable CHROMIUM names; a Chromium or Chrome on the PATH, or where macOS
keeps programs; the one that Playwright has installed for itself (`playwright install chromium`).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = (
    "chromium",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    # On Ubuntu a script that asks for snap; it is the last, and must answer like the others.
    "chromium-browser",
)
MACOS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ANSWER_S = 60


def find() -> Path:
    """The program. Raises LookupError, with a sentence, when none is there that starts."""
    named = os.environ.get("CHROMIUM")
    if named:
        if not _starts(named):
            raise LookupError(f"CHROMIUM names {named}, which does not start as a browser.")
        return Path(named)
    for program in _installed():
        if _starts(program):
            return Path(program)
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if _starts(own):
        return Path(own)
    raise LookupError("There is no Chromium or Chrome on the PATH, and Playwright has none.")


def _installed() -> Iterator[str]:
    for name in NAMES:
        if found := shutil.which(name):
            yield found
    yield from MACOS


def _starts(program: str) -> bool:
    """Also the libraries it needs are loaded to say its version."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, timeout=ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{find()}\n")
    except LookupError as problem:
        sys.exit(str(problem))
