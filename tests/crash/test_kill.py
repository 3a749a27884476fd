"""kill -9 of app, database or worker during a save: the old or the new state, no third."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from app.annotation.edits.path import Path
from app.models import Correction, Draft, Regeneration, RunState, Sample, UnsavedEdit, User
from tests.support.factories import SLIDES, add_draft, add_project, add_sample, add_user
from tests.support.studio import Studio, studio

# Moments after the save was sent, in seconds: before it arrives, while it works, after its answer.
MOMENTS = (0.0, 0.004, 0.008, 0.02)
TYPED = "## Slide 2\nTyped by a person, 打字。"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with studio(tmp_path_factory.mktemp("house") / "data", ITERDPO_LEASE_S="2") as made:
        made.start("app")
        made.start("worker")
        yield made


class Case:
    """A fresh draft with a typed text that is kept as unsaved, and its annotator's browser."""

    def __init__(self, house: Studio) -> None:
        self.house = house
        with house.sessions.begin() as db:
            self.user: User = add_user(db)
            self.sample: Sample = add_sample(db, project=add_project(db, self.user), images=0)
            self.draft: Draft = add_draft(db, sample=self.sample, user=self.user)
        with house.sessions() as db:
            assert self.sample.head_id is not None
            self.segment = Path.load(db, self.sample.head_id).steps[2]
        self.client = house.client(self.user)
        kept = self.client.put(
            f"/drafts/{self.draft.id}/segments/{self.segment.id}/unsaved",
            json={"text": TYPED, "typed_at_ms": 1},
        )
        assert kept.status_code < 300, kept.text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def save(self) -> int | None:
        """The status of the answer; None when the connection broke."""
        try:
            return self.client.put(
                f"/drafts/{self.draft.id}/segments/{self.segment.id}/correction",
                data={"text": TYPED, "mode": "continue", "base_version": str(self.draft.version)},
            ).status_code
        except httpx.TransportError:
            return None

    def check(self, answered: int | None) -> None:
        """The typed text is there; all of the save is done, or none of it."""
        with self.house.sessions() as db:
            draft = db.get_one(Draft, self.draft.id)
            pairs = db.scalars(select(Correction).where(Correction.draft_id == draft.id)).all()
            runs = db.scalars(select(Regeneration).where(Regeneration.draft_id == draft.id)).all()
            kept = db.scalars(
                select(UnsavedEdit.text).where(UnsavedEdit.draft_id == draft.id)
            ).all()
            if draft.version == self.draft.version:
                assert (pairs, runs, kept) == ([], [], [TYPED])
                assert answered is None or answered >= 400, "answered, and nothing was kept"
            else:
                assert (len(pairs), len(runs)) == (1, 1)
                chosen = Path.load(db, pairs[0].chosen_id).leaf
                assert chosen.text == TYPED + "\n\n"


def wait_for_database(house: Studio) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with house.sessions() as db:
                db.execute(text("SELECT 1"))
            return
        except OperationalError:
            assert time.monotonic() < deadline, "the database did not come back"
            time.sleep(0.1)


def save_and_kill(case: Case, moment: float, kill: Callable[[], None]) -> int | None:
    answered: list[int | None] = []
    saving = threading.Thread(target=lambda: answered.append(case.save()))
    saving.start()
    time.sleep(moment)
    kill()
    saving.join(30)
    return answered[0]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_app_leaves_the_old_or_the_new_state(house: Studio, moment: float) -> None:
    with Case(house) as case:
        answered = save_and_kill(case, moment, lambda: house.kill("app"))
        house.start("app")
        case.check(answered)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_database_leaves_the_old_or_the_new_state(house: Studio, moment: float) -> None:
    with Case(house) as case:
        answered = save_and_kill(case, moment, house.kill_database)
        wait_for_database(house)
        case.check(answered)
        assert case.client.get(f"/drafts/{case.draft.id}").status_code == 200


@pytest.mark.parametrize("moment", [0.005, 0.05, 0.2])
def test_a_killed_worker_is_replaced_and_its_text_goes_on(house: Studio, moment: float) -> None:
    with Case(house) as case:
        assert save_and_kill(case, moment, lambda: house.kill("worker")) == 303
        house.start("worker")
        texts = _finished_texts(house, case)
        assert texts == [SLIDES[0], TYPED + "\n\n", *SLIDES[2:]]
        case.check(303)


def test_after_every_kill_a_new_save_works(house: Studio) -> None:
    with Case(house) as case:
        assert case.save() == 303
        case.check(303)


def _finished_texts(house: Studio, case: Case) -> list[str]:
    deadline = time.monotonic() + 40
    while True:
        with house.sessions() as db:
            run = db.scalars(
                select(Regeneration).where(Regeneration.draft_id == case.draft.id)
            ).one()
            if run.state is RunState.DONE:
                return [step.text for step in Path.load(db, run.leaf_id).segments]
        assert time.monotonic() < deadline, f"still {run.state}"
        time.sleep(0.1)
