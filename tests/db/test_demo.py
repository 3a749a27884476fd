"""The demonstration: there after the first start, untouched by the next ones."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from app.database.sessions import make_engine
from app.demo import DemoSummary, seed
from app.demo.content import demo_projects
from app.models import Correction, Project, Sample, SampleImage, Segment, User
from app.security import password_matches
from app.settings import Settings
from tests.conftest import copy_database
from tests.domain.texts import DEMO


@dataclass(frozen=True)
class Demonstration:
    """Seeded once for all tests of this module."""

    engine: Engine
    settings: Settings
    first: DemoSummary


@pytest.fixture(scope="module")
def demonstration(
    server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demonstration]:
    engine = make_engine(copy_database(server_url, template_database))
    settings = Settings(data=tmp_path_factory.mktemp("demo"), demo=True)
    with Session(engine) as db:
        first = seed(db, settings)
        db.commit()
    yield Demonstration(engine, settings, first)
    engine.dispose()


@pytest.fixture
def db(demonstration: Demonstration) -> Iterator[Session]:
    with Session(demonstration.engine) as session:
        yield session


def test_a_demonstration_is_seeded_once(db: Session, demonstration: Demonstration) -> None:
    assert demonstration.first == DemoSummary(accounts=4, projects=3, samples=5)
    counts = [db.scalar(select(func.count()).select_from(table)) for table in (Segment, Correction)]
    assert seed(db, demonstration.settings) == DemoSummary(accounts=0, projects=0, samples=0)
    assert counts == [
        db.scalar(select(func.count()).select_from(table)) for table in (Segment, Correction)
    ]


def test_the_demonstration_shows_every_kind_of_segment(db: Session) -> None:
    samples = {sample.source_id: sample for sample in db.scalars(select(Sample))}
    assert {sample.language for sample in samples.values()} == {"en", "zh"}
    lecture = samples["generative-ai-16-slides"]
    links = db.scalars(
        select(Segment.image_index).where(Segment.sample_id == lecture.id, Segment.depth > 0)
    )
    assert sorted(link for link in links if link is not None) == list(range(16))
    assert db.scalar(select(func.count()).select_from(SampleImage)) == 31
    # What the second annotator has done: three pairs of a finished draft.
    assert db.scalar(select(func.count()).select_from(Correction)) == 3


def test_the_real_output_is_in_the_database_byte_for_byte(db: Session) -> None:
    for name, source_id in (
        ("lecture_16_slides.en.json", "generative-ai-16-slides"),
        ("film_review.zh.json", "pursuit-of-happyness"),
    ):
        output = json.loads((DEMO / name).read_text(encoding="utf-8"))["output"]
        segments = db.scalars(
            select(Segment.text)
            .join(Sample, Sample.id == Segment.sample_id)
            .where(Sample.source_id == source_id)
            .order_by(Segment.depth)
        )
        assert "".join(segments) == output


def test_the_demo_accounts_can_log_in_and_are_marked(db: Session) -> None:
    users = {user.name: user for user in db.scalars(select(User))}
    assert {"anna", "ben", "admin", "trainer"} <= users.keys()
    assert all(user.demo for user in users.values())
    assert password_matches(users["ben"].password_hash, "demo-annotator")


def test_what_was_changed_in_the_demonstration_stays(
    db: Session, demonstration: Demonstration
) -> None:
    project = db.scalars(select(Project).where(Project.name == "lectures")).one()
    project.title = "Mine"
    db.flush()
    seed(db, demonstration.settings)
    assert project.title == "Mine"


def test_every_picture_of_the_demonstration_is_shown() -> None:
    samples = [sample for project in demo_projects() for sample in project.samples()]
    shown = {sample.source_id: len(sample.images) for sample in samples}
    assert shown == {
        "generative-ai-16-slides": 16,
        "water-5-slides": 5,
        "compiler-6-slides": 6,
        "pursuit-of-happyness": 1,
        "energy-report": 3,
    }
