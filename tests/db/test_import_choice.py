"""A project without a rule takes the one that fits its first file; one with a rule keeps it."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.domain.rules import Choice
from app.domain.segments import RuleKind
from app.images.store import ImageStore
from app.projects import service
from app.projects.service import ProjectSettings
from tests.db.test_import_folders import course
from tests.support.imports import Importer, lines, row, tree

WORDS = "Some words of a paragraph that says little. " * 5
ESSAY = "\n\n".join([WORDS] * 6)


@pytest.fixture
def importer(db: Session, tmp_path: Path) -> Importer:
    return Importer(db, service.add(db, name="new"), ImageStore(tmp_path / "store"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "s.jsonl"


def test_the_first_file_chooses_and_the_second_does_not(importer: Importer, file: Path) -> None:
    assert importer.project.rule is None
    file.write_bytes(lines(row(1, output=ESSAY), row(2, output=ESSAY), row(3)))
    assert importer(file).choice == Choice(RuleKind.PARAGRAPHS, 2, 3)
    assert importer.project.rule is RuleKind.PARAGRAPHS
    assert len(importer.output("sample-1")) == 6
    file.write_bytes(lines(row(4), row(5), row(6)))
    assert importer(file).choice is None
    assert importer.project.rule is RuleKind.PARAGRAPHS


def test_a_rule_that_somebody_chose_stays(db: Session, tmp_path: Path, file: Path) -> None:
    settings = ProjectSettings(title="Chosen", rule=RuleKind.HEADINGS)
    project = service.add(db, name="chosen", settings=settings)
    importer = Importer(db, project, ImageStore(tmp_path / "store"))
    file.write_bytes(lines(row(1)))
    assert importer(file).choice is None
    assert project.rule is RuleKind.HEADINGS


def test_a_file_without_outputs_leaves_the_choice_to_the_next(
    importer: Importer, file: Path
) -> None:
    file.write_bytes(lines({"id": "empty", "instruction": "Write."}))
    assert importer(file).choice is None
    assert importer.project.rule is None
    file.write_bytes(lines(row(1)))
    assert importer(file).choice == Choice(RuleKind.SLIDES, 1, 1)


def test_a_refused_file_chooses_nothing(importer: Importer, file: Path) -> None:
    file.write_bytes(lines(row(1), "{"))
    importer.refused(file)
    importer.db.refresh(importer.project)
    assert importer.project.rule is None


def test_a_course_keeps_how_its_scripts_part_and_which_slides_they_speak_of(
    importer: Importer, tmp_path: Path
) -> None:
    importer(tree(tmp_path / "dpo", course("m/c", "One.", "", "Three.\n\n", "Four.")))
    [sample] = importer.samples()
    assert (sample.rule, sample.part_images) == (RuleKind.PARAGRAPHS, [0, 2, 3])
    assert sample.extra == {}


def test_what_the_file_calls_rule_is_metadata(importer: Importer, file: Path) -> None:
    file.write_bytes(
        lines(row(1, output=ESSAY), row(2, output=ESSAY.replace("\n\n", ""), rule="A"))
    )
    importer(file)
    sample = importer.samples()[1]
    assert (sample.extra, sample.rule) == ({"rule": "A"}, None)
    importer.project.rule = RuleKind.SLIDES
    file.write_bytes(lines(row(3, output=ESSAY * 2, rule="B")))
    importer(file)
    sample = importer.samples()[2]
    assert (sample.extra, sample.rule) == ({"rule": "B"}, RuleKind.PARAGRAPHS)
