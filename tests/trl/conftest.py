"""A studio with an annotated project, its export, and a tiny random Qwen2.5-VL."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.accounts import service as accounts
from app.domain.filters import PairFilter
from app.domain.prompts import Template
from app.domain.quality import Gate
from app.exports.export import Order, export_directory
from app.exports.formats import FORMATS, Rendering
from app.images.store import ImageStore
from app.models import Membership, Project, Role
from app.settings import ROOT
from tests.support.factories import add_user
from tests.support.studio import Studio, studio
from tests.trl.annotated import Expected, annotate, expected_pairs


def pytest_configure() -> None:
    """Before torch is imported: for a model this small, threads wait more than they compute."""
    os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What these libraries warn each other of is not ours to mend; a training takes its time."""
    kinds = (FutureWarning, UserWarning, DeprecationWarning)
    theirs = [f"ignore::{kind.__name__}" for kind in kinds]
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("default", *theirs))
        item.add_marker(pytest.mark.timeout(600))


@dataclass(frozen=True)
class House:
    """The studio; store: its images. export: a directory for TRL. expected: pairs by id."""

    studio: Studio
    store: ImageStore
    project: Project
    token: str
    export: Path
    expected: Mapping[str, Expected]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2.5-VL with random weights: its architecture, template, tokens and processor."""
    place = tmp_path_factory.mktemp("model")
    script = ROOT / "tests" / "vllm" / "server" / "make_tiny_vlm.py"
    subprocess.run([sys.executable, script, place / "tiny", place / "lora"], check=True)
    return place / "tiny"


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """With a server that answers, and a trainer's token for the project."""
    place = tmp_path_factory.mktemp("house")
    with studio(place / "data") as made:
        store = ImageStore(place / "data" / "images")
        with made.sessions() as db:
            project = annotate(db, store, place)
            theo = add_user(db, role=Role.TRAINER, name="theo")
            db.add(Membership(project_id=project.id, user_id=theo.id))
            token = accounts.create_token(
                db,
                user_id=theo.id,
                name="training",
                scopes=["pairs:read", "policies:read", "policies:write"],
                days=1,
            )
            db.commit()
            expected = expected_pairs(db, project)
        _export(made, store, project, "trl", place)
        made.start("app")
        yield House(made, store, project, token, place / "trl", expected)


@pytest.fixture(scope="session")
def export_as(house: House, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes the project in a format; returns where."""
    place = tmp_path_factory.mktemp("exports")

    def export(format: str) -> Path:
        return _export(house.studio, house.store, house.project, format, place)

    return export


def _export(studio: Studio, store: ImageStore, project: Project, format: str, place: Path) -> Path:
    template = Template.QWEN2_5_VL
    order = Order(
        PairFilter(project=(project.name,)),
        FORMATS[format],
        Rendering(template, folder=format),
        Gate(template),
    )
    with studio.sessions() as db:
        export_directory(db, order, projects=[project.id], out=place / format, store=store)
    return place / format
