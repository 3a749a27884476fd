"""Every catalogue says all that the pages say, with the same values and no markup of its own."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from app.settings import ROOT

CATALOGUES = sorted((ROOT / "app" / "locale").glob("*.po"))
PLACEHOLDER = re.compile(r"%\(\w+\)s|%%|\{\w+\}")
MARKUP = re.compile(r"<[^>]*>?|&")
# What refuses with a sentence, and which of its words that is.
SPEAKERS = {
    **dict.fromkeys(("Conflict", "Forbidden", "Invalid", "NotFound", "Outdated", "Stale"), 0),
    **dict.fromkeys(("Message", "EngineError", "AdapterError"), 0),
    **dict.fromkeys(("_found", "FieldError", "FilterError"), 1),
    "RowError": 2,
}
# These speak on the command line, to scripts and in logs: no page shows what they say.
WITHOUT_PAGES = {
    *("app/backup.py", "app/exports/formats.py", "app/exports/model_template.py"),
    *("app/exports/selection.py", "app/exports/sinks.py", "app/snapshots/hub.py"),
    *("app/policies/fingerprint.py", "app/policies/queries.py"),
    *("worker/openai/probe.py", "worker/vllm/server.py"),
}
Key = tuple[str | None, str, str | None]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> set[Key]:
    template = tmp_path_factory.mktemp("messages") / "messages.pot"
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([ROOT / ".ci" / "messages", template], check=True, env=environment, cwd=ROOT)
    with template.open("rb") as file:
        return {key(entry) for entry in read_po(file) if entry.id}


def catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.stem, abort_invalid=True)


def key(entry: Message) -> Key:
    one, *many = forms(entry.id)
    return entry.context, one, many[0] if many else None


def forms(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (text or "",) if isinstance(text, str | None) else tuple(text)


def names(path: Path) -> str:
    return path.stem


def test_there_is_a_catalogue_for_simplified_chinese() -> None:
    assert "zh_Hans" in map(names, CATALOGUES)


@pytest.mark.parametrize("path", CATALOGUES, ids=names)
def test_a_catalogue_has_the_messages_of_the_source_and_no_others(
    path: Path, extracted: set[Key]
) -> None:
    """`make messages` brings it up to date."""
    have = {key(entry) for entry in catalogue(path) if entry.id}
    assert (sorted(map(str, extracted - have)), sorted(map(str, have - extracted))) == ([], [])


@pytest.mark.parametrize("path", CATALOGUES, ids=names)
def test_every_message_is_translated_and_none_is_fuzzy(path: Path) -> None:
    entries = catalogue(path)
    wrong = [
        entry.id
        for entry in entries
        if entry.id
        and (
            entry.fuzzy
            or not all(form.strip() for form in forms(entry.string))
            or len(forms(entry.string)) != (entries.num_plurals if entry.pluralizable else 1)
        )
    ]
    assert wrong == []
    assert not entries.obsolete


@pytest.mark.parametrize("path", CATALOGUES, ids=names)
def test_a_translation_has_the_values_of_its_message(path: Path) -> None:
    wrong = {}
    for entry in catalogue(path):
        # Of a plural the last form has all of them: "one segment" need not say the number.
        wanted = sorted(set(PLACEHOLDER.findall(forms(entry.id)[-1])))
        for form in forms(entry.string) if entry.id else ():
            if sorted(set(PLACEHOLDER.findall(form))) != wanted:
                wrong[str(entry.id)] = form
    assert wrong == {}


@pytest.mark.parametrize("path", CATALOGUES, ids=names)
def test_a_translation_brings_no_markup_of_its_own(path: Path) -> None:
    """What gettext gives to a template is not escaped."""
    wrong = [
        form
        for entry in catalogue(path)
        if entry.id
        for form in forms(entry.string)
        if not set(MARKUP.findall(form)) <= set(MARKUP.findall(" ".join(forms(entry.id))))
    ]
    assert wrong == []


def test_no_sentence_for_a_page_is_put_together_before_it_is_looked_up() -> None:
    """An f-string has its values in it already: no catalogue knows that sentence."""
    found = []
    for path in sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "worker").rglob("*.py")]):
        file = path.relative_to(ROOT).as_posix()
        if file in WITHOUT_PAGES or file.startswith("app/cli/"):
            continue
        for call in ast.walk(ast.parse(path.read_text())):
            place = SPEAKERS.get(_called(call)) if isinstance(call, ast.Call) else None
            if place is None or not isinstance(call, ast.Call) or len(call.args) <= place:
                continue
            if isinstance(call.args[place], ast.JoinedStr | ast.BinOp):
                found.append(f"{file}:{call.lineno}")
    assert found == []


def _called(call: ast.Call) -> str:
    function = call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
