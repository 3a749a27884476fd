"""The texts that people read avoid patterns that are hard to read (CONTRIBUTING.md, "English")."""

import re
from pathlib import Path

import pytest

from app.main import create_app
from app.settings import ROOT, Settings

FORBIDDEN = re.compile(
    r"\bso many\b|\bas ever\b|\banew\b|\b(?:take|takes|taken|taking) (?:\w+ )?home\b"
    r"|\btells of\b|\b(?:is|are) told of\b|\bfor who\b"
    r"|(?<![Tt]here )\bis no (?:address|model|parameter|filter|file|number|name)\b"
    r"|(?<![Tt]here )\bis no (?:text|pair|list|member)\b"
    r"|(?:^|[.;:] )Who (?!are\b|is\b|wrote what\b)[^?.]*\."
)
# Quotations and code are not our own sentences.
QUOTED = re.compile(r"“[^”]*”|`[^`]*`|```.*?```", re.DOTALL)


def found_in(text: str) -> list[str]:
    return [match[0] for match in FORBIDDEN.finditer(QUOTED.sub("", text))]


@pytest.mark.parametrize(
    "text", ["So it is: so many are left.", "It starts anew.", "for who asks", "It is no file."]
)
def test_the_patterns_are_found(text: str) -> None:
    assert found_in(text)


def test_documents_are_in_plain_english() -> None:
    paths = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    # The options of `iterdpo train` are described by the package itself.
    paths += [path for path in (ROOT / "docs").glob("*.md") if path.name != "training.md"]
    assert {path.name: found for path in paths if (found := found_in(path.read_text()))} == {}


def test_the_command_line_is_in_plain_english() -> None:
    paths = sorted((ROOT / "app" / "cli").glob("*.py"))
    assert paths
    assert {path.name: found for path in paths if (found := found_in(path.read_text()))} == {}


def test_settings_and_the_api_are_described_in_plain_english(tmp_path: Path) -> None:
    settings = [field.description or "" for field in Settings.model_fields.values()]
    schema = create_app(Settings(data=tmp_path)).openapi()
    texts = [*settings, *_texts(schema)]
    assert len(texts) > 100
    assert [text for text in texts if found_in(text)] == []


def _texts(node: object) -> list[str]:
    """Every summary and description below a node of the OpenAPI document."""
    if isinstance(node, list):
        return [text for one in node for text in _texts(one)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("summary", "description") if isinstance(node.get(key), str)]
    return own + [text for one in node.values() for text in _texts(one)]
