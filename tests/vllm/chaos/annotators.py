"""Annotators at work: they correct, stop, change their minds, and some requests come to nothing."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import regenerations
from app.annotation.edits import correction as correction_edits
from app.annotation.edits.path import Path as TreePath
from app.models import Draft
from app.security import SESSION_COOKIE
from tests.support.studio import SAME_ORIGIN, Studio
from tests.vllm.chaos.readers import Reader

ENDS = ("read",) * 5 + ("stop",) * 2 + ("correct again",) * 3
PATIENCE_S = 300.0
T = TypeVar("T")


@dataclass
class Asked:
    """A regeneration that was asked for. wish: what its annotator means to do with it."""

    run_id: int
    draft_id: int
    wish: str
    reader: Reader


@dataclass(frozen=True)
class Correction:
    """A request that is ready to be sent."""

    segment_id: int
    base_version: int
    text: str


@dataclass
class Office:
    """What all annotators have done. undone: the runs of transactions that were rolled back.

    total: how many corrections there are to be. allowed: how many may have been begun by now.
    """

    house: Studio
    total: int
    allowed: int = 0
    begun: int = 0
    asked: list[Asked] = field(default_factory=list)
    undone: list[int] = field(default_factory=list)

    async def in_database(self, question: Callable[[Session], T]) -> T:
        """The answer, when the database is there to give it."""
        while True:
            try:
                return await asyncio.to_thread(self._ask, question)
            except SQLAlchemyError:
                await asyncio.sleep(0.2)

    def _ask(self, question: Callable[[Session], T]) -> T:
        with self.house.sessions() as db:
            return question(db)


class Annotator:
    """One of them, with one draft."""

    def __init__(self, office: Office, *, draft_id: int, cookie: str, rng: random.Random) -> None:
        self.office = office
        self.draft_id = draft_id
        self.rng = rng
        self.client = httpx.AsyncClient(
            base_url=office.house.url,
            cookies={SESSION_COOKIE: cookie},
            headers=SAME_ORIGIN,
            timeout=40,
            trust_env=False,
        )

    async def work(self) -> None:
        """Correct for as long as there is something to correct; then read to the end."""
        async with self.client, asyncio.TaskGroup() as reading:
            while self.office.begun < self.office.total:
                if self.office.begun >= self.office.allowed:
                    await asyncio.sleep(0.05)
                    continue
                self.office.begun += 1
                if self.rng.random() < 0.15:
                    await self._change_it_and_roll_back()
                asked = await self._correct()
                reading.create_task(asked.reader.follow())
                await self._go_on(asked)

    async def _go_on(self, asked: Asked) -> None:
        reader = asked.reader
        enough = 10**9 if asked.wish == "read" else self.rng.randint(0, 400)
        async with asyncio.timeout(PATIENCE_S):
            while not reader.ended and len(reader.text) <= enough:
                await asyncio.sleep(0.02)
            if asked.wish == "stop":
                await self._stop(asked.run_id)
                while not reader.ended:
                    await asyncio.sleep(0.02)

    async def _correct(self) -> Asked:
        """Send it until it is known to have been saved."""
        correction = await self.office.in_database(self._choose)
        saved = False
        while not saved:
            answered = await self._put(correction)
            version, run_id = await self.office.in_database(self._state)
            saved = version == correction.base_version + 1
            assert saved or version == correction.base_version, "saved more than once"
            assert saved or answered != 303, "answered as saved, and nothing was kept"
            if not saved:
                await asyncio.sleep(0.2)
        assert run_id is not None
        reader = Reader(
            self.client,
            f"/drafts/{self.draft_id}/regenerations/{run_id}/stream",
            random.Random(self.rng.random()),
        )
        asked = Asked(run_id, self.draft_id, self.rng.choice(ENDS), reader)
        self.office.asked.append(asked)
        return asked

    async def _put(self, correction: Correction) -> int | None:
        """The status of the answer; None when there was none."""
        try:
            answer = await self.client.put(
                f"/drafts/{self.draft_id}/segments/{correction.segment_id}/correction",
                data={
                    "text": correction.text,
                    "mode": "continue",
                    "base_version": str(correction.base_version),
                },
            )
        except httpx.HTTPError:
            return None
        return answer.status_code

    async def _stop(self, run_id: int) -> None:
        """Again until it is answered; that is without effect on what has ended."""
        address = f"/drafts/{self.draft_id}/regenerations/{run_id}"
        while True:
            try:
                if (await self.client.delete(address)).status_code < 400:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)

    async def _change_it_and_roll_back(self) -> None:
        """A request that fails at its very end, when its run and its job have been written."""

        def change(db: Session) -> int:
            correction = self._choose(db)
            draft = db.get_one(Draft, self.draft_id, with_for_update=True)
            correction_edits.correct(
                db,
                draft=draft,
                base_version=draft.version,
                segment_id=correction.segment_id,
                text=correction.text,
                rewrite=True,
            )
            db.flush()
            run_id = draft.regeneration_id
            db.rollback()
            assert run_id is not None
            return run_id

        self.office.undone.append(await self.office.in_database(change))

    def _choose(self, db: Session) -> Correction:
        """Another text for one of the first segments that stand there now."""
        draft = db.get_one(Draft, self.draft_id)
        path = TreePath.load(db, regenerations.leaf(db, draft)).segments[:4]
        # Behind the end of the output nothing would be written.
        steps = [step for step in path if not step.ends_output]
        text = f"Corrected for the time {self.rng.randrange(10**9)}, 第{self.rng.randrange(99)}次。"
        return Correction(self.rng.choice(steps).id, draft.version, text)

    def _state(self, db: Session) -> tuple[int, int | None]:
        draft = db.get_one(Draft, self.draft_id)
        return draft.version, draft.regeneration_id
