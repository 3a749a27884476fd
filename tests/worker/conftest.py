"""A committed world for workers: a draft of a real lecture, its annotator's verbs, real workers."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from pydantic import PostgresDsn
from sqlalchemy import select, text
from sqlalchemy.orm import Session

import worker
from app import regenerations
from app.annotation.edits import correction
from app.annotation.edits.path import Path as TreePath
from app.cli.serve import HTTP, Server
from app.database.sessions import Sessions, make_engine, make_sessions
from app.domain.segments import Rule, RuleKind, split
from app.main import create_app
from app.models import Chunk, Draft, LoginSession, Regeneration, RunState, Segment, User, now
from app.security import SESSION_COOKIE, digest, new_secret
from app.settings import ROOT, Settings
from tests.support.factories import add_draft, add_policy, add_project, add_sample, add_user
from worker.engine import Engine

_DATA = ROOT / "app" / "demo_data" / "longwriter-v" / "lecture_16_slides.en.json"
LECTURE: str = json.loads(_DATA.read_text("utf-8"))["output"]


@dataclass
class Studio:
    """A database of the test's own with one draft, and what happens to it; every verb commits."""

    url: str
    sessions: Sessions
    settings: Settings
    draft_id: int = 0
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def set_speed(self, words_per_s: float) -> None:
        """How fast the replay engine of the next worker writes."""
        self.settings = self.settings.model_copy(update={"replay_words_per_s": words_per_s})

    def new_draft(
        self, texts: list[str], *, ends_output: bool = True, rule: RuleKind = RuleKind.SLIDES
    ) -> int:
        """Another annotator's draft of another sample; it becomes the one worked on."""
        with self.sessions.begin() as db:
            user = add_user(db)
            project = add_project(db, user)
            project.rule = rule
            sample = add_sample(
                db,
                project=project,
                texts=texts,
                policy=add_policy(db),
                images=3,
                ends_output=ends_output,
            )
            self.draft_id = add_draft(db, sample=sample, user=user).id
        return self.draft_id

    def draft(self, db: Session) -> Draft:
        """The draft worked on, locked as a request locks it."""
        return db.get_one(Draft, self.draft_id, with_for_update=True)

    def correct(self, number: int, old: str, new: str) -> int:
        """Correct the segment with that number and have the rest rewritten; the run's id."""
        with self.sessions.begin() as db:
            draft = self.draft(db)
            segment = TreePath.load(db, regenerations.leaf(db, draft)).steps[number]
            assert old in segment.text
            correction.correct(
                db,
                draft=draft,
                base_version=draft.version,
                segment_id=segment.id,
                text=segment.text.removesuffix(segment.separator).replace(old, new, 1),
                rewrite=True,
            )
            assert draft.regeneration_id is not None
            return draft.regeneration_id

    def go_on(self) -> int:
        """The annotator's Continue again, after all that is there."""
        with self.sessions.begin() as db:
            draft = self.draft(db)
            run = correction.regenerate(
                db,
                draft=draft,
                base_version=draft.version,
                segment_id=regenerations.leaf(db, draft),
            )
            return run.id

    def stop(self, regeneration_id: int) -> None:
        """The annotator's Stop."""
        with self.sessions.begin() as db:
            draft = self.draft(db)
            correction.stop(db, draft=draft, regeneration_id=regeneration_id)

    def run(self, regeneration_id: int) -> Regeneration:
        """The row as it is now."""
        with self.sessions() as db:
            return db.get_one(Regeneration, regeneration_id)

    def written(self, regeneration_id: int) -> str:
        """The text in chunks, checked to be without a gap or an overlap."""
        found = ""
        with self.sessions() as db:
            for start, chunk in db.execute(
                select(Chunk.start, Chunk.text)
                .where(Chunk.regeneration_id == regeneration_id)
                .order_by(Chunk.start)
            ):
                assert start == len(found)
                found += chunk
        return found

    def segments(self, regeneration_id: int) -> list[str]:
        """The texts of its finished segments, from the anchor down to the leaf."""
        with self.sessions() as db:
            run = db.get_one(Regeneration, regeneration_id)
            path = TreePath.load(db, run.leaf_id)
            own = [step for step in path.steps if step.regeneration_id == run.id]
            assert own == list(path.steps[len(path.steps) - len(own) :])
            count = db.query(Segment).filter_by(regeneration_id=run.id).count()
            assert count == len(own), "a segment stands beside the path"
            return [step.text for step in own]

    def chain(self, regeneration_id: int) -> list[str]:
        """The texts from its anchor down to its leaf, whatever stands beside them."""
        with self.sessions() as db:
            run = db.get_one(Regeneration, regeneration_id)
            anchor = db.get_one(Segment, run.anchor_id)
            return [step.text for step in TreePath.load(db, run.leaf_id).steps[anchor.depth + 1 :]]

    def start(self, regeneration_id: int, worker: str = "test") -> regenerations.Work:
        """Take it as a worker does."""
        with self.sessions.begin() as db:
            work = regenerations.start(
                db,
                regeneration_id=regeneration_id,
                worker=worker,
                policy_id=regenerations.register_policy(db, name="replay", engine="replay"),
                lease_s=self.settings.lease_s,
            )
        assert work is not None
        return work

    def append(self, *portions: regenerations.Portion) -> list[regenerations.Outcome]:
        """Write as a worker does; what became of each portion."""
        with self.sessions.begin() as db:
            outcome = regenerations.append(db, portions, lease_s=self.settings.lease_s)
        return [outcome[portion.regeneration_id] for portion in portions]

    def end_lease(self, regeneration_id: int) -> None:
        """As if the worker had been silent for too long."""
        with self.sessions.begin() as db:
            run = db.get_one(Regeneration, regeneration_id)
            run.lease_until = now() - timedelta(seconds=1)

    def recover(self) -> regenerations.Recovered:
        """What every worker does now and then."""
        with self.sessions.begin() as db:
            return regenerations.recover(db)

    def jobs(self) -> int:
        """How many jobs wait."""
        with self.sessions() as db:
            waiting = text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")
            return int(db.scalars(waiting).one())

    def until(self, holds: Callable[[], bool], *, within_s: float = 20) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.01)

    def is_now(self, regeneration_id: int, state: RunState) -> Callable[[], bool]:
        """Whether a regeneration is in that state, asked again at each call."""
        return lambda: self.run(regeneration_id).state is state

    @asynccontextmanager
    async def worker(self, engine: Engine | None = None) -> AsyncIterator[asyncio.Event]:
        """A worker in this process; yields what stops it."""
        stop = asyncio.Event()
        task = asyncio.create_task(worker.run(self.settings, self.url, stop, engine))
        try:
            yield stop
        finally:
            stop.set()
            await asyncio.wait_for(task, 10)

    def spawn(self, **settings: float) -> subprocess.Popen[bytes]:
        """A worker process of its own."""
        return self.spawn_at(self.url, None, **settings)

    def spawn_at(self, url: str, log: Path | None, **settings: float) -> subprocess.Popen[bytes]:
        """A worker process that uses the database there. log: where its lines go."""
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": url,
            "ITERDPO_LEASE_S": str(self.settings.lease_s),
            "ITERDPO_REPLAY_WORDS_PER_S": str(self.settings.replay_words_per_s),
        } | {f"ITERDPO_{name.upper()}": str(value) for name, value in settings.items()}
        command = [sys.executable, "-m", "worker"]
        with log.open("wb") if log else nullcontext() as file:
            child = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=file)
        self.children.append(child)
        return child


async def until(holds: Callable[[], bool], *, within_s: float = 20) -> None:
    """Wait until it holds, beside what else runs on the loop."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.01)


def lecture(slides: int = 16) -> list[str]:
    """The first slides of a real model output, cut as a project of slides cuts it."""
    return [piece.text for piece in split(LECTURE, Rule(RuleKind.SLIDES))[:slides]]


@pytest.fixture
def studio(committed_database: str, tmp_path: Path) -> Iterator[Studio]:
    """A lecture of eight slides, a fast replay engine and a short lease."""
    engine = make_engine(committed_database, pool=8)
    studio = Studio(
        committed_database,
        make_sessions(engine),
        Settings(
            DATABASE_URL=PostgresDsn(committed_database),
            data=tmp_path,
            lease_s=1.5,
            replay_words_per_s=4000,
        ),
    )
    studio.new_draft(lecture(8))
    yield studio
    for child in studio.children:
        with suppress(ProcessLookupError):
            child.kill()
        child.wait()
    engine.dispose()


@dataclass
class Site:
    """The app in a thread, and a browser that is logged in as the draft's annotator."""

    studio: Studio
    server: Server
    browser: httpx.Client

    def url(self, run: int) -> str:
        return f"/drafts/{self.studio.draft_id}/regenerations/{run}/stream"

    @property
    def base_url(self) -> str:
        """Where the app answers."""
        return str(self.browser.base_url)

    def log_in(self, browser: httpx.Client, user: User | None = None) -> None:
        token = new_secret()
        with self.studio.sessions.begin() as db:
            user_id = user.id if user else db.get_one(Draft, self.studio.draft_id).user_id
            # As long as a log-in may last: shorter or longer, it would be renewed in between.
            ends = now() + timedelta(hours=self.studio.settings.session_hours)
            db.add(LoginSession(user_id=user_id, token_hash=digest(token), expires_at=ends))
        browser.cookies.set(SESSION_COOKIE, token)


@pytest.fixture
def site(studio: Studio) -> Iterator[Site]:
    app = create_app(studio.settings)
    server = Server(uvicorn.Config(app, port=0, timeout_graceful_shutdown=20, **HTTP), app)
    thread = threading.Thread(target=server.run)
    thread.start()
    studio.until(lambda: server.started)
    address = server.servers[0].sockets[0].getsockname()
    with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}", timeout=20) as browser:
        site = Site(studio, server, browser)
        site.log_in(browser)
        yield site
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
