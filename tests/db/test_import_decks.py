"""PDF decks: a real one page by page, and what is none."""

from pathlib import Path

import pypdfium2
import pytest
from PIL import Image as Pillow
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.images.store import ImageStore
from app.models import Image, SampleImage
from tests.support.factories import add_project
from tests.support.imports import DECK, Importer, texts


@pytest.fixture
def importer(db: Session, tmp_path: Path) -> Importer:
    return Importer(db, add_project(db), ImageStore(tmp_path / "store"))


def images(importer: Importer) -> list[Image]:
    query = select(Image).join(SampleImage, SampleImage.sha256 == Image.sha256)
    return list(importer.db.scalars(query.order_by(SampleImage.position)))


def test_each_page_of_a_real_deck_is_an_image(importer: Importer, tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_text("## Slide 1\nWelcome.\n\n## Slide 2\nWe begin.\n", encoding="utf-8")
    report = importer(DECK, output=script, instruction="Write the script.")
    assert (report.added, report.segments) == (1, 2)
    [sample] = importer.samples()
    assert (sample.source_id, sample.instruction) == ("packaging-tutorial", "Write the script.")
    assert sample.extra == {"pages": 12}
    pages = images(importer)
    assert len(pages) == 12
    assert {(page.format, page.width, page.height) for page in pages} == {("png", 1600, 1200)}
    segments = importer.output("packaging-tutorial")
    assert texts(segments) == ["## Slide 1\nWelcome.\n\n", "## Slide 2\nWe begin.\n"]
    assert [segment.image_index for segment in segments] == [0, 1]


def test_a_drawn_page_shows_what_the_deck_shows(importer: Importer) -> None:
    importer(DECK)
    first = images(importer)[0]
    with Pillow.open(importer.store.original(first.sha256, first.format)) as page:
        colours = page.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 50  # text with smooth edges, not an empty sheet


def test_a_deck_without_a_text_waits_for_its_first_one(importer: Importer) -> None:
    assert importer(DECK).segments == 0
    assert importer.output("packaging-tutorial") == []


def test_the_same_deck_is_known_even_if_its_pages_are_drawn_otherwise(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer(DECK)
    monkeypatch.setattr("app.images.decoding.pool.PAGE_WIDTH", 800)
    assert importer(DECK).unchanged == 1


def test_a_damaged_deck_is_refused(importer: Importer, tmp_path: Path) -> None:
    damaged = tmp_path / "deck.pdf"
    damaged.write_bytes(b"%PDF-1.7\nnothing of the kind")
    assert importer.refused(damaged) == ["deck.pdf: The PDF cannot be read: it is damaged."]


def test_a_deck_without_pages_is_refused(importer: Importer, tmp_path: Path) -> None:
    empty = tmp_path / "deck.pdf"
    document = pypdfium2.PdfDocument.new()
    document.save(empty)
    document.close()
    [error] = importer.refused(empty)
    assert error.startswith("deck.pdf: The PDF ")


def test_the_text_of_a_deck_must_be_one(importer: Importer, tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_bytes(b"\xff\xfe\x00")
    [error] = importer.refused(DECK, output=script)
    assert error.startswith("packaging-tutorial.pdf, output: The file is not UTF-8 text")


def test_a_text_file_belongs_to_a_deck_only(importer: Importer, tmp_path: Path) -> None:
    samples = tmp_path / "s.jsonl"
    samples.write_bytes(b'{"id": "a", "instruction": "b"}')
    [error] = importer.refused(samples, output=samples)
    assert error == "s.jsonl, output: A text file with the output belongs to a PDF deck."


def test_a_deck_needs_an_instruction(importer: Importer) -> None:
    assert importer.refused(DECK, instruction=" ") == [
        "packaging-tutorial.pdf, instruction: An instruction is needed."
    ]
