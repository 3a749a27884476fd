"""What every file in the repository keeps to."""

import base64
import hashlib
import json
import re

import pytest

from app.settings import ROOT
from tests.project.tracked import text_of, tracked_files

LONGEST = 400
VENDOR = ROOT / "static" / "vendor"

# Assembled, so that this file is not its own finding. A registry's address would send people who
# install from elsewhere to a place their network may not reach.
REGISTRIES = [
    host.replace(" ", "")
    for host in ("py pi.org", "files.python hosted.org", "registry.np mjs.org", "uv.l ock")
]
MACHINE = re.compile(
    "|".join(["/" + "root/", "/" + "work/", "/home/" + r"(?!alice\b)[a-z]", "/" + "Users/"])
)


@pytest.mark.parametrize("kind", [".py", ".js", ".css", ".html", ".sh", ".md"])
def test_no_file_is_longer_than_a_mind_can_hold(kind: str) -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in tracked_files()
        if path.suffix == kind
        and VENDOR not in path.parents
        and "demo_data" not in path.parts
        and (lines := len((text_of(path) or "").splitlines())) > LONGEST
    ]
    assert long == []


def test_no_file_names_a_registry_or_the_machine_it_was_written_on() -> None:
    found = []
    for path in tracked_files():
        text = text_of(path)
        if text is None or VENDOR in path.parents:
            continue
        words = [word for word in REGISTRIES if word in text]
        words += MACHINE.findall(text)
        found += [f"{path.relative_to(ROOT)}: {word}" for word in words]
    assert found == []


def test_the_program_finds_its_files_where_it_is_installed_too() -> None:
    """app/resources.py knows the places; the top of the repository is there for tests alone."""
    for path in tracked_files():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ("app", "worker"):
            body = text_of(path) or ""
            assert not re.search(r"^from app\.settings import .*\bROOT\b", body, re.M), path


def test_every_requirement_is_pinned_with_hashes() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        entries = re.split(r"\n(?=\S)", path.read_text().strip())
        assert entries
        for entry in entries:
            first = entry.splitlines()[0]
            assert re.match(r"[A-Za-z0-9._-]+(\[[^]]+\])?==[^ ]+", first), f"{path.name}: {first}"
            assert "--hash=sha256:" in entry, f"{path.name}: {first}"


def test_requirements_grow_from_one_to_the_next() -> None:
    """What is tested is what runs: a shared package has one version in every list."""
    lists = [
        {
            name: sorted(versions)
            for name, versions in _pins((ROOT / "requirements" / f"{name}.txt").read_text()).items()
        }
        for name in ("run", "test", "dev", "train")
    ]
    run, test, dev, train = lists
    for smaller, larger in ((run, test), (test, dev), (test, train)):
        assert {name: larger.get(name) for name in smaller} == smaller


def _pins(text: str) -> dict[str, set[str]]:
    """Versions by package; some have one for older and one for newer Pythons."""
    versions: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)(?:\[.*\])?==(\S+)", line):
            versions.setdefault(match[1], set()).add(match[2])
    return versions


def test_vendored_files_are_those_of_the_lock_file() -> None:
    lock = json.loads((VENDOR / "vendor.lock.json").read_text())
    listed = {}
    for package in lock["packages"]:
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])
        assert package["licence"]
        listed.update(package["files"])
    present = {
        path.relative_to(VENDOR).as_posix(): path
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "vendor.lock.json"
    }
    assert sorted(present) == sorted(listed)
    for name, path in present.items():
        digest = base64.b64encode(hashlib.sha384(path.read_bytes()).digest()).decode()
        assert listed[name] == f"sha384-{digest}", name


def test_nothing_is_left_for_later_in_the_code() -> None:
    marks = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked_files()
        if path.suffix in (".py", ".js", ".css", ".html") and VENDOR not in path.parents
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if marks.search(line)
    ]
    assert found == []
