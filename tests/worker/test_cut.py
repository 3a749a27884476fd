"""What a sample was cut by cuts what is written for it, and parts go on with their images."""

import json
from pathlib import Path

from sqlalchemy import select

from app.annotation.edits import assignment
from app.annotation.edits.path import Path as TreePath
from app.images.store import ImageStore
from app.models import Project, RunState, Sample, Segment
from app.projects import service as projects
from app.samples.importing import import_path
from tests.db.test_import_folders import course
from tests.support.factories import add_user
from tests.support.imports import lines, row, tree
from tests.worker.conftest import Studio, until
from tests.worker.test_process import play

WORDS = "Some words of a paragraph that says little. "


def open_draft(studio: Studio, source: Path, folder: Path) -> None:
    """Import a source into a new project with the defaults and begin its first sample."""
    with studio.sessions.begin() as db:
        user = add_user(db)
        project = projects.add(db, name=f"p{user.id}")
        projects.add_member(db, project=project, name=user.name)
        import_path(
            db, project=project, path=source, store=ImageStore(folder / "store"), actor_id=None
        )
        sample = db.scalars(
            select(Sample).where(Sample.project_id == project.id).order_by(Sample.id).limit(1)
        ).one()
        draft = assignment.open_draft(db, sample_id=sample.id, user_id=user.id)
        studio.draft_id = draft.id


def path(studio: Studio, leaf_id: int) -> list[tuple[str, int | None]]:
    """The texts and images of a path."""
    with studio.sessions() as db:
        ids = [step.id for step in TreePath.load(db, leaf_id).steps[1:]]
        found = {one.id: one for one in db.scalars(select(Segment).where(Segment.id.in_(ids)))}
        return [(found[one].text, found[one].image_index) for one in ids]


def corrected(studio: Studio, number: int, old: str, new: str) -> list[tuple[str, int | None]]:
    """The path after Save and continue, once the replay engine has written it."""
    runs: list[int] = []

    async def scenario() -> None:
        async with studio.worker():
            runs.append(studio.correct(number, old, new))
            await until(studio.is_now(runs[0], RunState.DONE))

    play(scenario)
    return path(studio, studio.run(runs[0]).leaf_id)


def test_a_course_goes_on_with_one_segment_a_slide(studio: Studio, tmp_path: Path) -> None:
    scripts = [f"Script {number} in a few words." for number in range(1, 6)]
    open_draft(studio, tree(tmp_path / "dpo", course("m/c", *scripts)), tmp_path)
    assert corrected(studio, 2, "few", "dozen") == [
        ("Script 1 in a few words.\n\n", 0),
        ("Script 2 in a dozen words.\n\n", 1),
        ("Script 3 in a dozen words.\n\n", 2),
        ("Script 4 in a dozen words.\n\n", 3),
        ("Script 5 in a dozen words.", 4),
    ]


def test_a_slide_without_a_script_gets_no_segment_again(studio: Studio, tmp_path: Path) -> None:
    open_draft(
        studio, tree(tmp_path / "dpo", course("m/c", "One.", "", "Three.", "Four.")), tmp_path
    )
    assert corrected(studio, 1, "One", "First")[1:] == [("Three.\n\n", 2), ("Four.", 3)]


def test_a_course_of_longer_scripts_goes_on_with_about_one_segment_a_slide(
    studio: Studio, tmp_path: Path
) -> None:
    scripts = ["\n\n".join([f"Slide {n} at last. {WORDS * 3}"] + [WORDS * 2] * 2) for n in range(8)]
    open_draft(studio, tree(tmp_path / "dpo", course("m/c", *scripts)), tmp_path)
    after = corrected(studio, 1, "last", "first")
    assert [image for _, image in after] == list(range(8))
    assert [text.startswith(f"Slide {n} at") for n, (text, _) in enumerate(after)] == [True] * 8


def test_six_paragraphs_in_a_project_with_the_defaults_stay_six(
    studio: Studio, tmp_path: Path
) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_bytes(lines(row(output="\n\n".join([f"Paragraph {n}. {WORDS}" for n in range(6)]))))
    open_draft(studio, file, tmp_path)
    assert len(corrected(studio, 2, "little", "much")) == 6


def test_a_sample_keeps_the_finer_rule_that_its_import_needed(
    studio: Studio, tmp_path: Path
) -> None:
    essay = "\n\n".join([f"Paragraph {n}. {WORDS * 10}" for n in range(6)])
    slides = [row(n, output="## Slide 1\nA.\n\n## Slide 2\nB.") for n in (2, 3)]
    file = tmp_path / "texts.jsonl"
    file.write_bytes(lines(row(1, output=essay), *slides))
    open_draft(studio, file, tmp_path)
    with studio.sessions() as db:
        assert db.scalars(select(Project.rule).order_by(Project.id.desc())).first() == "slides"
    assert len(corrected(studio, 4, "little", "much")) == 6


def test_given_segments_are_cut_as_they_were_given(studio: Studio, tmp_path: Path) -> None:
    given = [f"Line {number} says little.\n" for number in range(6)]
    file = tmp_path / "texts.jsonl"
    file.write_bytes((json.dumps(row(output="".join(given)) | {"segments": given}) + "\n").encode())
    open_draft(studio, file, tmp_path)
    after = corrected(studio, 2, "little", "much")
    assert [text.split()[1] for text, _ in after] == ["0", "1", "2", "3", "4", "5"]


def test_a_text_that_is_stopped_in_the_middle_keeps_its_images(
    studio: Studio, tmp_path: Path
) -> None:
    scripts = [f"Script {number}. " + WORDS * 4 for number in range(1, 9)]
    open_draft(studio, tree(tmp_path / "dpo", course("m/c", *scripts)), tmp_path)
    studio.set_speed(150)
    runs: list[int] = []

    async def scenario() -> None:
        async with studio.worker():
            runs.append(studio.correct(1, "says little", "says a lot"))
            await until(lambda: studio.run(runs[0]).cut > 0)
            studio.stop(runs[0])
            runs.append(studio.go_on())
            await until(studio.is_now(runs[1], RunState.DONE))

    play(scenario)
    after = path(studio, studio.run(runs[1]).leaf_id)
    assert "".join(text for text, _ in after).count("Script") == 8
    numbers = [text.split()[1].rstrip(".") for text, _ in after if text.startswith("Script")]
    images = [image for text, image in after if text.startswith("Script")]
    assert numbers == [str(number) for number in range(1, 9)]
    assert images == list(range(8))
