"""The app over a real database, and its actors. What requests commit is rolled back afterwards."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from fastapi import FastAPI
from pydantic import PostgresDsn
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from app.accounts import service as accounts
from app.database import heartbeat
from app.domain.filters import PairFilter
from app.domain.quality import Gate
from app.domain.splits import SplitPlan
from app.exports.snapshot_store import SnapshotStore
from app.main import create_app
from app.models import (
    Correction,
    Draft,
    Import,
    ImportState,
    LoginSession,
    Project,
    Role,
    Sample,
    Snapshot,
    User,
    now,
)
from app.samples.imports.running import run
from app.samples.imports.upload_store import UploadStore
from app.security import SESSION_COOKIE, digest, new_secret
from app.settings import Settings
from app.snapshots import service
from app.snapshots.builder import build
from tests.support.factories import add_draft, add_policy, add_project, add_sample, add_user
from tests.support.pairing import add_pair, show_images

# What a browser sends with a form on one of our own pages.
BROWSER = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}
HTMX = {"HX-Request": "true", "Accept": "text/html", "Sec-Fetch-Dest": "empty"}


@pytest.fixture(scope="session")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the tested app: the shared database, a data directory of its own."""
    return Settings(
        DATABASE_URL=PostgresDsn(database_url), data=tmp_path_factory.mktemp("data"), demo=True
    )


@pytest.fixture(scope="session")
def running_app(settings: Settings) -> Iterator[TestClient]:
    """The started app."""
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def app(running_app: TestClient, db: Session) -> Iterator[FastAPI]:
    """The app, whose transactions are savepoints of the test's own."""
    app = running_app.app
    assert isinstance(app, FastAPI)
    own = app.state.sessions, app.state.reading_sessions
    app.state.sessions = app.state.reading_sessions = sessionmaker(
        db.connection(), join_transaction_mode="create_savepoint", expire_on_commit=False
    )
    yield app
    app.state.sessions, app.state.reading_sessions = own


Browse = Callable[[User | None], TestClient]


@pytest.fixture
def browse(app: FastAPI, running_app: TestClient, db: Session) -> Browse:
    """A browser in which that user is logged in; None: nobody is."""

    def open_browser(user: User | None) -> TestClient:
        client = TestClient(app, headers=BROWSER, follow_redirects=False)
        client.portal = running_app.portal
        if user:
            client.cookies.set(SESSION_COOKIE, log_in(db, user), domain="testserver.local")
        return client

    return open_browser


def log_in(db: Session, user: User, *, ends_in: timedelta = timedelta(days=14)) -> str:
    """The cookie of a log-in that ends then."""
    token = new_secret()
    db.add(LoginSession(user_id=user.id, token_hash=digest(token), expires_at=now() + ends_in))
    db.commit()
    return token


@dataclass(frozen=True)
class World:
    """A project with a sample that the owner works on, and everybody who might want to look."""

    project: Project
    sample: Sample
    draft: Draft
    admin: User
    owner: User
    other: User
    stranger: User
    trainer: User


@pytest.fixture
def world(db: Session) -> World:
    """owner and other are annotators of the project, stranger is one of none."""
    owner, other, stranger = add_user(db), add_user(db), add_user(db)
    trainer = add_user(db, role=Role.TRAINER)
    project = add_project(db, owner, other, trainer)
    sample = add_sample(db, project=project, images=4, policy=add_policy(db))
    draft = add_draft(db, sample=sample, user=owner)
    sample.taken = 1
    db.commit()
    return World(
        project=project,
        sample=sample,
        draft=draft,
        admin=add_user(db, role=Role.ADMIN),
        owner=owner,
        other=other,
        stranger=stranger,
        trainer=trainer,
    )


@pytest.fixture
def visitor(browse: Browse) -> TestClient:
    """A browser in which nobody is logged in."""
    return browse(None)


@pytest.fixture
def owner(browse: Browse, world: World) -> TestClient:
    """The annotator whose draft it is."""
    return browse(world.owner)


@pytest.fixture
def other(browse: Browse, world: World) -> TestClient:
    """Another annotator of the same project."""
    return browse(world.other)


@pytest.fixture
def stranger(browse: Browse, world: World) -> TestClient:
    """An annotator of no project."""
    return browse(world.stranger)


@pytest.fixture
def trainer(browse: Browse, world: World) -> TestClient:
    """A trainer of the project."""
    return browse(world.trainer)


@pytest.fixture
def admin(browse: Browse, world: World) -> TestClient:
    """An admin."""
    return browse(world.admin)


@pytest.fixture
def expired(browse: Browse, world: World, db: Session) -> TestClient:
    """The owner's browser, an instant after the log-in ended."""
    client = browse(None)
    token = log_in(db, world.owner, ends_in=timedelta(seconds=-1))
    client.cookies.set(SESSION_COOKIE, token, domain="testserver.local")
    return client


Script = Callable[..., TestClient]


@pytest.fixture
def script(app: FastAPI, running_app: TestClient, db: Session) -> Script:
    """A client with a token of that user, and no cookie."""

    def start(user: User, *scopes: str) -> TestClient:
        token = accounts.create_token(
            db, user_id=user.id, name="test", scopes=list(scopes or ("pairs:read",)), days=1
        )
        db.commit()
        client = TestClient(app, headers={"Authorization": f"Bearer {token}"})
        client.headers["Accept-Encoding"] = "identity"
        client.portal = running_app.portal
        return client

    return start


@pytest.fixture
def sample(db: Session, app: FastAPI, world: World) -> Sample:
    """A sample with two images and no pair."""
    sample = add_sample(db, project=world.project)
    show_images(db, app.state.image_store, sample, "white", "navy")
    db.commit()
    return sample


@pytest.fixture
def three(db: Session, world: World, sample: Sample) -> list[Correction]:
    """Pairs at the first three segments."""
    made = [
        add_pair(db, sample=sample, number=number, text=f"Other {number}.\n\n", user=world.owner)
        for number in (1, 2, 3)
    ]
    db.commit()
    return made


Make = Callable[..., Snapshot]


@pytest.fixture
def store(app: FastAPI) -> SnapshotStore:
    return SnapshotStore(app.state.settings.snapshots)


@pytest.fixture
def make(
    db: Session,
    app: FastAPI,
    world: World,
    store: SnapshotStore,
    monkeypatch: pytest.MonkeyPatch,
) -> Make:
    """Makes a snapshot of a project with three pairs; ready unless told otherwise."""
    # All sessions of these tests are one connection, which no second thread may use.
    monkeypatch.setattr(heartbeat, "BEAT_S", 3600)
    for number in range(3):
        sample = add_sample(db, project=world.project, source_id=f"slides-{number}")
        show_images(db, app.state.image_store, sample, f"#0{number}4080")
        add_pair(db, sample=sample, number=1, text=f"## Slide 1\nBetter {number}.\n\n")
    db.commit()

    def made(name: str = "round-1", *, ready: bool = True, **plan: float) -> Snapshot:
        snapshot = service.create(
            db,
            store=store,
            project=world.project,
            name=name,
            format="trl",
            filter=PairFilter(),
            gate=Gate(),
            plan=SplitPlan(**plan),  # type: ignore[arg-type] # shares only
            actor_id=world.admin.id,
        )
        db.commit()
        if ready:
            assert build(
                app.state.sessions,
                snapshot_id=snapshot.id,
                worker="test",
                store=store,
                images=app.state.image_store,
                lease_s=60,
            )
            db.refresh(snapshot)
        return snapshot

    return made


@pytest.fixture
def token(db: Session, world: World) -> dict[str, str]:
    """The header of the project's trainer."""
    made = accounts.create_token(
        db, user_id=world.trainer.id, name="t", scopes=["pairs:read"], days=1
    )
    db.commit()
    return {"Authorization": f"Bearer {made}"}


Work = Callable[[], None]


@pytest.fixture
def work(db: Session, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Does what imports wait, as a worker's process does."""
    # All sessions of these tests are one connection, which no second thread may use.
    monkeypatch.setattr(heartbeat, "BEAT_S", 3600)

    def done() -> None:
        waiting = select(Import.id).where(Import.state == ImportState.WAITING).order_by(Import.id)
        for import_id in db.scalars(waiting).all():
            run(
                app.state.sessions,
                import_id=import_id,
                worker="test",
                store=app.state.image_store,
                uploads=UploadStore(app.state.settings.uploads),
                lease_s=60,
            )
        db.expire_all()

    return done
