"""What the fields of the pages' forms hold: text that a user typed, or a secret.

Read out of the templates, so that a new form needs no list to be kept.
"""

import re
from pathlib import Path
from typing import NamedTuple

# A tag with whatever stands in it: quoted values and Jinja's own brackets may hold a ">".
_TAG = re.compile(
    r"""<(input|textarea)\b((?:\{%.*?%\}|\{\{.*?\}\}|"[^"]*"|[^>"])*)>""", re.IGNORECASE | re.DOTALL
)
_ATTRIBUTE = re.compile(r'(?<![\w-])(name|type|autocomplete)="([^"]*)"', re.IGNORECASE)
_TYPED = frozenset({"text", "search", "email", "url", "tel"})


class Fields(NamedTuple):
    """Names of fields. texts: what users type and may want back. secrets: never shown again."""

    texts: frozenset[str]
    secrets: frozenset[str]


def fields_of(templates: Path) -> Fields:
    """The fields of every form in the templates below that directory; no secret is a text."""
    texts, secrets = set(), set()
    for path in templates.rglob("*.html"):
        for tag, inside in _TAG.findall(path.read_text(encoding="utf-8")):
            found = {key.lower(): value for key, value in _ATTRIBUTE.findall(inside)}
            kind = found.get("type", "text").lower()
            name = found.get("name", "")
            if kind == "password" or "password" in found.get("autocomplete", ""):
                secrets.add(name)
            elif tag.lower() == "textarea" or kind in _TYPED:
                texts.add(name)
    return Fields(frozenset(texts - secrets - {""}), frozenset(secrets))
