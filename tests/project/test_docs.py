"""The docs are complete: every setting, every command, every address of the API."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from app.cli.program import command_line
from app.main import create_app
from app.settings import ROOT, Settings
from tests.project.tracked import tracked_files

DOCS = ROOT / "docs"


def settings_rows() -> dict[str, tuple[str, str]]:
    """Default and meaning by variable, from the table in configuration.md."""
    text = (DOCS / "configuration.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? ?\| (.*?) \|$", text, re.MULTILINE)
    return {name: (default, meaning) for name, default, meaning in rows}


def variables() -> Iterator[tuple[str, str, str | None]]:
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = alias if isinstance(alias, str) else f"ITERDPO_{name.upper()}"
        yield variable, "" if field.default is None else str(field.default), field.description


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {name: default for name, (default, _) in settings_rows().items()}
    assert documented == {variable: default for variable, default, _ in variables()}


def test_every_setting_says_in_the_code_what_it_says_in_the_docs() -> None:
    rows = settings_rows()
    for variable, _, description in variables():
        if description and variable != "DATABASE_URL":
            assert rows[variable][1] == description, variable


def commands() -> list[str]:
    def walk(command: object, path: str) -> Iterator[str]:
        if isinstance(command, TyperGroup):
            for name, inner in command.commands.items():
                if not inner.hidden:
                    yield from walk(inner, f"{path} {name}")
        else:
            yield path

    return sorted(walk(get_command(command_line([])), "iterdpo"))


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_docs(command: str) -> None:
    assert f"| `{command}` |" in (DOCS / "operations.md").read_text()


def test_every_command_of_the_docs_exists() -> None:
    named = re.findall(r"^\| `(iterdpo [a-z ]+)` \|", (DOCS / "operations.md").read_text(), re.M)
    assert sorted(named) == commands()


def test_every_command_teaches_with_an_example() -> None:
    group = get_command(command_line([]))
    assert isinstance(group, TyperGroup)

    def check(command: object, path: str) -> None:
        if isinstance(command, TyperGroup):
            for name, inner in command.commands.items():
                if not inner.hidden:
                    check(inner, f"{path} {name}")
        else:
            text = getattr(command, "help", "") or ""
            assert "Examples:" in text, path
            assert path in text, path

    check(group, "iterdpo")


def test_no_help_has_two_blank_lines_in_a_row() -> None:
    for path in ("iterdpo", *commands()):
        words = path.split()[1:]
        done = CliRunner().invoke(command_line([]), [*words, "--help"])
        assert done.exit_code == 0, done.output
        assert not re.search(r"\n\s*\n\s*\n", done.output.strip()), done.output


def test_every_address_of_the_api_is_in_the_docs(tmp_path: Path) -> None:
    schema = create_app(Settings(data=tmp_path)).openapi()
    text = (DOCS / "api.md").read_text()
    operations = [
        f"{method.upper()} {_in_docs(path)}"
        for path, methods in schema["paths"].items()
        for method in methods
    ]
    assert operations
    assert [operation for operation in operations if operation not in text] == []


def _in_docs(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), path)


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path in tracked_files():
        if path.suffix != ".md" or "demo_data" in path.parts:
            continue
        for target, place in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", path.read_text()):
            found = path.parent / target if target else path
            if "://" in target or (found.exists() and (not place or place in headings(found))):
                continue
            broken.append(f"{path.relative_to(ROOT)}: {target}#{place}")
    assert broken == []


def headings(path: Path) -> set[str]:
    """The places in a document that a link can name, spelled as GitHub does."""
    lines = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_every_package_of_the_app_is_in_its_description() -> None:
    text = (DOCS / "architecture.md").read_text()
    packages = [path.parent.name for path in (ROOT / "app").glob("*/__init__.py")]
    assert packages
    assert sorted(name for name in packages if f"`app/{name}/`" not in text) == []


def test_every_decision_is_in_the_index() -> None:
    index = (DOCS / "decisions" / "README.md").read_text()
    records = sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))
    assert re.findall(r"\((0.*?\.md)\)", index) == records
