"""Look before you leap: what an import would bring, and nothing written."""

from pathlib import Path

import pytest

from app.domain.segments import RuleKind
from app.samples.importing import ImportOptions, ImportRefused
from app.samples.importing.preview import Preview, preview
from tests.support.imports import lines, row


def looked_at(path: Path) -> Preview:
    return preview(path, ImportOptions(), rule=RuleKind.SLIDES, rule_words=120)


def test_a_preview_says_what_the_file_holds(tmp_path: Path) -> None:
    rows = [
        row(1, images=["no.png"], system="Be brief."),
        row(2, output="\u7b2c\u4e00\u9875\uff1a\u6b22\u8fce\u5927\u5bb6\u3002"),
        row(3, output=""),
        row(4, output="Rate limit reached for gpt-4o."),
    ]
    (tmp_path / "rows.jsonl").write_bytes(lines(*rows))
    found = looked_at(tmp_path / "rows.jsonl")
    assert (found.kind, found.samples, found.images, found.files) == ("JSON Lines", 4, 1, 1)
    assert (found.without_output, found.with_context) == (1, 1)
    assert dict(found.languages) == {"en": 3, "zh": 1}
    assert dict(found.mapped)["output"] == "output"
    assert [sample.source_id for sample in found.first] == ["sample-1", "sample-2", "sample-3"]
    assert found.first[0].segments == ("## Slide 1 Welcome.", "## Slide 2 Goodbye.")
    assert found.warnings == ("Outputs that look like an error of an API, not like a text: 1.",)
    assert found.refused is None


def test_a_preview_shows_guessed_columns_and_errors(tmp_path: Path) -> None:
    good, bad = {"question": "Write.", "L": 300}, {"question": "Write.", "L": "many"}
    (tmp_path / "rows.jsonl").write_bytes(lines(good, bad))
    found = looked_at(tmp_path / "rows.jsonl")
    assert found.columns == ("question", "L")
    assert dict(found.mapped) == {"instruction": "question", "length": "L"}
    assert found.refused is not None
    assert found.refused.count == 1


def test_a_new_projects_rule_is_chosen_for_the_preview(tmp_path: Path) -> None:
    text = "\n\n".join(f"Paragraph {number} has some words in it." for number in range(8))
    (tmp_path / "rows.jsonl").write_bytes(lines(row(1, output=text)))
    found = preview(tmp_path / "rows.jsonl", ImportOptions(), rule=None, rule_words=120)
    assert len(found.first[0].segments) == 8


def test_a_preview_of_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(b"<html></html>")
    with pytest.raises(ImportRefused, match="This is a web page"):
        looked_at(tmp_path / "page.html")
