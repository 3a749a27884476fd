"""A backup made while annotators and a worker write, brought back onto another PostgreSQL."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as File

import httpx
import psycopg
import pytest
from sqlalchemy import select

from app.annotation.edits.path import Path
from app.annotation.edits.revision import draft_state
from app.database.postgres import embedded
from app.database.sessions import make_engine, make_sessions
from app.images.store import ImageStore
from app.models import Correction, Draft, Image, Segment, User
from tests.support.factories import add_draft, add_project, add_sample, add_user
from tests.support.imports import picture
from tests.support.studio import SAME_ORIGIN, Studio, studio

ANNOTATORS = 3
ROOT = File(__file__).parent.parent.parent


@dataclass
class Annotator(threading.Thread):
    """Corrects the same segment again and again, with rewriting, and writes down what was saved."""

    house: Studio
    user: User
    draft_id: int
    sample_id: int
    stop: threading.Event
    saved: list[str] = field(default_factory=list)
    # Sent, and perhaps not answered.
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Save until stopped."""
        with self.house.client(self.user) as client:
            while not self.stop.is_set():
                self._save(client)

    def _save(self, client: httpx.Client) -> None:
        with self.house.sessions() as db:
            draft = db.get_one(Draft, self.draft_id)
            segment = draft_state(db, draft).path.steps[1]
            version = draft.version
        text = f"## Slide 1\n{self.user.name} writes this, 第 {len(self.sent)} 次."
        self.sent.append(text)
        answer = client.put(
            f"/drafts/{self.draft_id}/segments/{segment.id}/correction",
            data={"text": text, "mode": "continue", "base_version": str(version)},
        )
        if answer.status_code < 400:
            self.saved.append(text)


@contextmanager
def at_work(house: Studio) -> Iterator[list[Annotator]]:
    """Annotators who save, and images that come in, until the end of the block."""
    stop = threading.Event()
    crowd = []
    with house.sessions.begin() as db:
        for _ in range(ANNOTATORS):
            user = add_user(db)
            sample = add_sample(db, project=add_project(db, user))
            draft = add_draft(db, sample=sample, user=user)
            crowd.append(Annotator(house, user, draft.id, sample.id, stop))

    def bring_images() -> None:
        number = 0
        while not stop.wait(0.02):
            house.keep_image(picture(f"#{number:06x}"))
            number += 1

    images = threading.Thread(target=bring_images)
    threads = [*crowd, images]
    for one in threads:
        one.start()
    try:
        yield crowd
    finally:
        stop.set()
        for one in threads:
            one.join(60)


def iterdpo(*words: str, url: str | None, data: File) -> subprocess.CompletedProcess[str]:
    """The command line, on a data directory and, where one is named, a database elsewhere."""
    environment = os.environ | {"ITERDPO_DATA": str(data), "PYTHONPATH": str(ROOT)}
    environment |= {"DATABASE_URL": url} if url else {}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    data = tmp_path_factory.mktemp("house") / "data"
    with studio(data, ITERDPO_REPLAY_WORDS_PER_S="400") as made:
        made.start("app")
        made.start("worker")
        yield made


def test_what_was_saved_before_it_began_is_there_and_all_of_it_holds_together(
    house: Studio, tmp_path: File
) -> None:
    with at_work(house) as crowd:
        until(lambda: all(len(one.saved) >= 3 for one in crowd))
        before = {one.draft_id: list(one.saved) for one in crowd}
        done = iterdpo("backup", str(tmp_path / "b.tar"), url=None, data=house.data)
        assert done.returncode == 0, done.stderr
        during = {one.draft_id: len(one.saved) for one in crowd}
        until(lambda: all(len(one.saved) > during[one.draft_id] for one in crowd))
    assert any(during[draft] > len(texts) for draft, texts in before.items()), "nobody wrote"
    sent = {one.draft_id: set(one.sent) for one in crowd}
    with embedded(tmp_path / "other") as url:
        place = tmp_path / "restored"
        done = iterdpo("restore", str(tmp_path / "b.tar"), url=url, data=place)
        assert done.returncode == 0, done.stderr
        check(url, place, before, sent)
        again = iterdpo("restore", str(tmp_path / "b.tar"), url=url, data=place)
        assert again.returncode == 1
        assert "The database is not empty" in again.stderr
        assert "Traceback" not in again.stderr
        goes_on(house, url, place, crowd[0])


def check(url: str, data: File, before: dict[int, list[str]], sent: dict[int, set[str]]) -> None:
    """Every save of before is there, none that nobody made; each tree and each image is whole."""
    engine = make_engine(url, pool=1)
    try:
        with make_sessions(engine)() as db:
            for draft_id, texts in before.items():
                draft = db.get_one(Draft, draft_id)
                chosen = db.scalars(
                    select(Segment.text)
                    .join(Correction, Correction.chosen_id == Segment.id)
                    .where(Correction.draft_id == draft_id)
                ).all()
                written = {text.rstrip("\n") for text in chosen}
                assert {text.rstrip("\n") for text in texts} <= written
                assert written <= {text.rstrip("\n") for text in sent[draft_id]}
                assert draft_state(db, draft).path.steps[1].text.rstrip("\n") in written
            for segment_id in db.scalars(select(Segment.id)).all():
                Path.load(db, segment_id)
            store = ImageStore(data / "images")
            images = db.scalars(select(Image)).all()
            assert images
            for image in images:
                assert store.original(image.sha256, image.format).stat().st_size == image.size
    finally:
        engine.dispose()
    with psycopg.connect(url) as connection:
        (broken,) = connection.execute(
            "SELECT count(*) FROM pg_constraint WHERE NOT convalidated"
        ).fetchone() or (None,)
    assert broken == 0


def goes_on(house: Studio, url: str, data: File, annotator: Annotator) -> None:
    """An app and a worker on the restored database finish what was being written."""
    engine = make_engine(url, pool=4)
    environment = house.environment | {"ITERDPO_DATA": str(data), "DATABASE_URL": url}
    data.mkdir(exist_ok=True)
    house.stop()
    other = Studio(data, house.port, make_sessions(engine), environment)
    try:
        other.start("app")
        other.start("worker")
        later = Annotator(
            other, annotator.user, annotator.draft_id, annotator.sample_id, annotator.stop
        )
        with other.client(annotator.user) as client:
            assert client.get(f"/drafts/{annotator.draft_id}").status_code == 200
            assert client.headers["Sec-Fetch-Site"] == SAME_ORIGIN["Sec-Fetch-Site"]
            later.sent = list(annotator.sent)
            later._save(client)
            assert len(later.saved) == 1

        def written() -> bool:
            with other.sessions() as db:
                return draft_state(db, db.get_one(Draft, annotator.draft_id)).unfinished is False

        until(written)
    finally:
        other.stop()
        engine.dispose()


def until(holds: object, within_s: float = 60) -> None:
    """Wait until it holds."""
    assert callable(holds)
    waited = threading.Event()
    for _ in range(int(within_s / 0.05)):
        if holds():
            return
        waited.wait(0.05)
    raise AssertionError("waited in vain")
