"""What every template keeps to, so that the content security policy never has to say no."""

import re
from pathlib import Path

import jinja2
import pytest

from app.settings import ROOT
from tests.project.tracked import tracked_files

TEMPLATES = ROOT / "templates"
PAGES = [
    path
    for path in tracked_files()
    if TEMPLATES in path.parents and path.suffix == ".html" and not path.name.startswith("_")
]
ALL = [path for path in tracked_files() if TEMPLATES in path.parents and path.suffix == ".html"]

FORBIDDEN = {
    "an hx-on attribute": r"\bhx-on\b",
    "an event handler attribute": r"\son[a-z]+\s*=",
    "a js: value": r"[\"']\s*(js|javascript):",
    "the safe filter": r"\|\s*safe\b",
    "switched-off escaping": r"autoescape\s+false|Markup\(",
    "a style attribute": r"\sstyle\s*=",
    "a style element": r"<style\b",
    "an inline script": r"<script\b(?![^>]*(\bsrc=|type=\"application/json\"))",
    "a filter on hx-trigger": r"hx-trigger\s*=\s*[\"'][^\"']*\[",
    "hx-live": r"\bhx-live\b",
    "an address of another site": r"(src|href|action)\s*=\s*[\"']https?://",
}


def names(path: Path) -> str:
    return path.relative_to(TEMPLATES).as_posix()


@pytest.mark.parametrize("path", ALL, ids=names)
def test_a_template_holds_nothing_that_is_forbidden(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
    found = [what for what, pattern in FORBIDDEN.items() if re.search(pattern, text)]
    assert found == []


@pytest.mark.parametrize("path", ALL, ids=names)
def test_a_template_is_well_formed(path: Path) -> None:
    environment = jinja2.Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    environment.parse(path.read_text())


@pytest.mark.parametrize("path", PAGES, ids=names)
def test_a_page_has_a_title(path: Path) -> None:
    text = path.read_text()
    assert re.search(r"\{%-?\s*block title\b|<title>", text), "no title block"


def test_every_icon_that_is_shown_exists() -> None:
    sprite = (ROOT / "static" / "icons.svg").read_text()
    have = set(re.findall(r"<symbol\b[^>]*\bid=\"([^\"]+)\"", sprite))
    wanted = {
        name for path in ALL for name in re.findall(r"\bicon\(\s*[\"']([^\"']+)", path.read_text())
    }
    assert sorted(wanted - have) == []
