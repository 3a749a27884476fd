"""An old database with people's work in it: after the upgrade every word and every export is there.

For each revision since the job queue there is a database as that version left it.
"""

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.annotation.edits import assignment
from app.annotation.edits.revision import draft_state
from app.backup import restore
from app.database import migrate
from app.database.sessions import make_engine, make_sessions
from app.domain.filters import PairFilter
from app.domain.quality import Gate
from app.exports.export import Order, export_directory
from app.exports.formats import FORMATS, Rendering
from app.images.store import ImageStore
from app.models import Draft, Project, User
from app.settings import ROOT
from tests.conftest import copy_database
from tests.db.conftest import Desk
from tests.project.test_backup import silent
from tests.project.test_old_backups import format_1, made
from tests.support.aging import Columns, aged, columns_of, rows_of
from tests.support.factories import add_draft, add_policy, add_project, add_sample, add_user
from tests.support.imports import picture
from tests.support.pairing import show_images

OLDEST = "0005"
# What a migration finds out from the rows that there are.
_COMPUTED = {("corrections", "edited"), ("corrections", "policy_id")}
_SCRIPTS = ScriptDirectory(str(ROOT / "migrations"))
REVISIONS = sorted(one.revision for one in _SCRIPTS.walk_revisions() if one.revision >= OLDEST)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    """The images of all these databases."""
    return ImageStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def source(server_url: str, template_database: str, store: ImageStore) -> str:
    """Three projects, six samples, twelve drafts, worked on by every act of before look-ahead."""
    url = copy_database(server_url, template_database)
    engine = make_engine(url, pool=2)
    with make_sessions(engine).begin() as db:
        for number in range(3):
            _work(db, store, number)
    engine.dispose()
    return url


def _work(db: Session, store: ImageStore, number: int) -> None:
    users = [add_user(db) for _ in range(2)]
    project = add_project(db, *users, annotators=2, name=f"lectures-{number}")
    for at in range(2):
        sample = add_sample(db, project=project, policy=add_policy(db))
        show_images(db, store, sample, f"#{40 * number + at:02x}8040", "navy")
        for user in users:
            desk = Desk(db, add_draft(db, sample=sample, user=user), user)
            desk.accept(1)
            desk.correct(2, f"## Slide 2\nThe chart of {user.name} shows 第 {number} 页, é 🙂.")
            desk.insert(2, "## Slide 2b\nA slide between.")
            desk.delete(4)
            if at:
                desk.undo()
            desk.correct(1, "## Slide 1\nWelcome, all.", rewrite=True)
            desk.write("## Slide 2\nThe model writes this again.\n\n")
            desk.write("## Slide 3\nAnd ends here.", stop_reason="stop")
            desk.correct(3, "## Slide 3\nAnd ends there, as its annotator wishes.")
            if user is users[1]:
                assignment.finish(db, draft=desk.draft, base_version=desk.draft.version)


def texts(url: str) -> dict[int, tuple[str, ...]]:
    """The segments of every draft, as its annotator sees them."""
    engine = make_engine(url, pool=1)
    try:
        with make_sessions(engine)() as db:
            return {
                draft.id: tuple(step.text for step in draft_state(db, draft).path.segments)
                for draft in db.scalars(select(Draft).order_by(Draft.id))
            }
    finally:
        engine.dispose()


def exports(url: str, store: ImageStore, to: Path) -> dict[str, bytes]:
    """Every file of every format of pairs, of all projects."""
    engine = make_engine(url, pool=1)
    try:
        with make_sessions(engine)() as db:
            projects = db.scalars(select(Project).order_by(Project.id)).all()
            wanted = PairFilter(project=tuple(one.name for one in projects))
            for name, format in FORMATS.items():
                order = Order(wanted, format, Rendering(folder=name), Gate())
                export_directory(
                    db, order, projects=[one.id for one in projects], out=to / name, store=store
                )
    finally:
        engine.dispose()
    return {str(one.relative_to(to)): one.read_bytes() for one in to.rglob("*") if one.is_file()}


@pytest.fixture(scope="module")
def before(
    source: str, store: ImageStore, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[int, tuple[str, ...]], dict[str, bytes]]:
    """The texts and the exports of the database that was never old."""
    found = texts(source), exports(source, store, tmp_path_factory.mktemp("before"))
    assert len(found[0]) == 12
    assert sum(name.endswith(".jsonl") for name in found[1]) >= 4
    return found


def kept_columns(old: Columns, source: str) -> Columns:
    """What the old schema held, and what migrations find out from it."""
    return {
        table: [name for name in names if name in old.get(table, ()) or (table, name) in _COMPUTED]
        for table, names in columns_of(source).items()
        if table in old
    }


@pytest.fixture(params=REVISIONS[:-1])
def old(request: pytest.FixtureRequest, server_url: str, source: str) -> str:
    """The same work in a database of an earlier version."""
    return aged(server_url, source, revision=request.param)


def test_every_row_text_and_export_is_there_after_the_upgrade(
    old: str,
    source: str,
    store: ImageStore,
    before: tuple[dict[int, tuple[str, ...]], dict[str, bytes]],
    tmp_path: Path,
) -> None:
    kept = kept_columns(columns_of(old), source)
    migrate.upgrade(old)
    migrate.check(old)
    assert rows_of(old, kept) == rows_of(source, kept)
    assert texts(old) == before[0]
    assert exports(old, store, tmp_path) == before[1]
    migrate.upgrade(old)
    assert rows_of(old, kept) == rows_of(source, kept)


@pytest.mark.parametrize("revision", [OLDEST, "0008", "0010"])
def test_work_goes_on_after_the_upgrade(server_url: str, source: str, revision: str) -> None:
    url = aged(server_url, source, revision=revision)
    migrate.upgrade(url)
    engine = make_engine(url, pool=1)
    try:
        with make_sessions(engine).begin() as db:
            _go_on(db)
    finally:
        engine.dispose()


def _go_on(db: Session) -> None:
    draft = db.scalars(select(Draft).order_by(Draft.id)).first()
    assert draft is not None
    desk = Desk(db, draft, db.get_one(User, draft.user_id))
    pairs = {pair.id for pair in desk.pairs}
    desk.correct(2, "## Slide 2\nMended in the new version.", rewrite=True)
    desk.write("## Slide 3\nThe end.", stop_reason="stop")
    (new,) = {pair.id for pair in desk.pairs} - pairs
    assert new > max(pairs)
    assert desk.texts[1:] == ["## Slide 2\nMended in the new version.\n\n", "## Slide 3\nThe end."]


def test_a_backup_of_an_old_database_comes_back_with_all_of_it(
    server_url: str,
    source: str,
    store: ImageStore,
    before: tuple[dict[int, tuple[str, ...]], dict[str, bytes]],
    tmp_path: Path,
) -> None:
    url = aged(server_url, source, revision="0010")
    kept = kept_columns(columns_of(url), source)
    file = format_1(url, picture("teal"), tmp_path / "old.tar")
    target = made(server_url, "restored_aged")
    restore(target, tmp_path / "i", tmp_path / "s", file, force=False, advance=silent)
    assert rows_of(target, kept) == rows_of(source, kept)
    assert texts(target) == before[0]
    assert exports(target, store, tmp_path / "exports") == before[1]
