"""Pulling by cursor while annotators save: every pair once, over the whole stack."""

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import PostgresDsn
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.accounts import service as accounts
from app.database.sessions import Sessions, make_engine, make_sessions
from app.main import create_app
from app.models import Correction, Role, Sample, User
from app.pairs import feed
from app.settings import Settings
from tests.support.factories import add_project, add_sample, add_user
from tests.support.pairing import add_pair

WRITERS, EACH = 4, 250


@pytest.fixture
def sessions(committed_database: str) -> Iterator[Sessions]:
    engine = make_engine(committed_database, pool=WRITERS + 2)
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def client(committed_database: str, sessions: Sessions, tmp_path: Path) -> Iterator[TestClient]:
    """A trainer's script, on an app of its own whose commits are real."""
    settings = Settings(DATABASE_URL=PostgresDsn(committed_database), data=tmp_path)
    with sessions.begin() as db:
        trainer = add_user(db, role=Role.TRAINER)
        writers = [add_user(db) for _ in range(WRITERS)]
        project = add_project(db, trainer, *writers, name="pulled")
        for _ in writers:
            add_sample(db, project=project)
        token = accounts.create_token(
            db, user_id=trainer.id, name="test", scopes=["pairs:read"], days=1
        )
    header = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    with TestClient(create_app(settings), headers=header) as client:
        yield client


def correct(sessions: Sessions, number: int, failures: list[BaseException]) -> None:
    """One annotator's pairs, each in a transaction that is open for a while: ids are handed out in
    another order than commits."""
    chance = random.Random(number)
    try:
        for at in range(EACH):
            with sessions.begin() as db:
                user, sample = _own(db, number)
                add_pair(
                    db, sample=sample, number=1 + at % 4, text=f"By {number}, {at}.", user=user
                )
                time.sleep(chance.random() * 0.01)
    except BaseException as failure:
        failures.append(failure)
        raise


def _own(db: Session, number: int) -> tuple[User, Sample]:
    users = db.scalars(select(User).where(User.role == Role.ANNOTATOR).order_by(User.id)).all()
    samples = db.scalars(select(Sample).order_by(Sample.id)).all()
    return users[number], samples[number]


def pull(client: TestClient, after: int, limit: int) -> tuple[list[int], int]:
    """The pair ids behind a cursor, and the next one."""
    answer = client.get(
        "/api/v1/pairs", params={"project": "pulled", "after": after, "limit": limit}
    )
    answer.raise_for_status()
    ids = [int(json.loads(line)["pair_id"]) for line in answer.iter_lines()]
    return ids, int(answer.headers["x-next-cursor"])


# How many places a reader gives at once: all that there are, and fewer than it asks for.
@pytest.mark.parametrize("at_once", [feed.AT_ONCE, 5])
def test_a_thousand_pairs_that_are_added_meanwhile_come_once_each(
    client: TestClient, sessions: Sessions, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(feed, "AT_ONCE", at_once)
    failures: list[BaseException] = []
    writers = [
        threading.Thread(target=correct, args=(sessions, number, failures))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    seen: list[int] = []
    after, pulls_meanwhile = 0, 0
    while any(writer.is_alive() for writer in writers):
        ids, after = pull(client, after, limit=37)
        seen += ids
        pulls_meanwhile += bool(ids)
    for writer in writers:
        writer.join()
    assert failures == []
    ids = seen
    while ids:
        ids, after = pull(client, after, limit=1000)
        seen += ids
    with sessions() as db:
        assert sorted(seen) == sorted(db.scalars(select(Correction.id)))
    assert len(seen) == len(set(seen)) == WRITERS * EACH
    assert pulls_meanwhile > 5


def test_a_download_that_broke_off_goes_on_byte_for_byte(
    client: TestClient, sessions: Sessions
) -> None:
    with sessions.begin() as db:
        user, sample = _own(db, 0)
        for at in range(40):
            add_pair(db, sample=sample, number=1 + at % 4, text=f"Text {at}.", user=user)
    whole = client.get("/api/v1/pairs", params={"project": "pulled"}).content
    for kept in (0, 1, len(whole) // 3, len(whole) - 1, len(whole)):
        lines = whole[:kept].splitlines(keepends=True)
        lines = [line for line in lines if line.endswith(b"\n")]
        after = json.loads(lines[-1])["cursor"] if lines else 0
        rest = client.get("/api/v1/pairs", params={"project": "pulled", "after": after}).content
        assert b"".join(lines) + rest == whole
