"""A draft to work on, as most tests of the annotator's verbs begin."""

from dataclasses import dataclass

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import regenerations
from app.annotation import service, structure
from app.annotation.path import Step
from app.annotation.steps import Standing, standing
from app.models import Correction, Draft, RunState, User
from app.refusals import Conflict
from tests.factories import add_draft, add_policy, add_project, add_sample, add_user


@dataclass
class Desk:
    """An annotator's draft with short hands for the verbs, always with the present version."""

    db: Session
    draft: Draft
    user: User

    @property
    def now(self) -> Standing:
        return standing(self.db, self.draft)

    def at(self, number: int) -> Step:
        """The segment with that number on the path."""
        return self.now.path.steps[number]

    @property
    def texts(self) -> list[str]:
        return [step.text for step in self.now.path.segments]

    @property
    def pairs(self) -> list[Correction]:
        """The pairs that count, oldest first."""
        return list(
            self.db.scalars(
                select(Correction)
                .where(
                    Correction.draft_id == self.draft.id,
                    Correction.retracted_at.is_(None),
                    Correction.superseded_by.is_(None),
                )
                .order_by(Correction.id)
            )
        )

    def accept(self, number: int) -> None:
        service.accept(
            self.db,
            draft=self.draft,
            base_version=self.draft.version,
            segment_id=self.at(number).id,
        )

    def correct(self, number: int, text: str, *, rewrite: bool = False) -> int:
        return service.correct(
            self.db,
            draft=self.draft,
            base_version=self.draft.version,
            segment_id=self.at(number).id,
            text=text,
            rewrite=rewrite,
        )

    def insert(self, after: int, text: str, *, rewrite: bool = False) -> int:
        return structure.insert(
            self.db,
            draft=self.draft,
            base_version=self.draft.version,
            after_id=self.at(after).id,
            text=text,
            rewrite=rewrite,
        )

    def delete(self, number: int, *, rewrite: bool = False) -> None:
        structure.delete(
            self.db,
            draft=self.draft,
            base_version=self.draft.version,
            segment_id=self.at(number).id,
            rewrite=rewrite,
        )

    def write(self, text: str, *, stop_reason: str | None = None) -> None:
        """What a worker does: take the live regeneration and write one segment of it."""
        self._append(text, cut=True, stop_reason=stop_reason)

    def say(self, text: str) -> None:
        """A worker writes text that is no segment yet."""
        self._append(text, cut=False, stop_reason=None)

    def _append(self, text: str, *, cut: bool, stop_reason: str | None) -> None:
        run = self.now.run
        if run is None or not self.now.live:
            raise Conflict("Nothing is being written.")
        if run.state is RunState.QUEUED:
            policy = regenerations.register_policy(self.db, name="writer", engine="openai")
            regenerations.start(
                self.db, regeneration_id=run.id, worker="test", policy_id=policy, lease_s=60
            )
        end = run.written + len(text)
        portion = regenerations.Portion(
            regeneration_id=run.id,
            attempt=run.attempt,
            start=run.written,
            text=text,
            cuts=(regenerations.Cut(end, text, None),) if cut else (),
            ending=regenerations.Ending(stop_reason) if stop_reason else None,
        )
        outcome = regenerations.append(self.db, [portion], lease_s=60)
        assert outcome == {run.id: regenerations.Outcome.WRITTEN}
        self.db.refresh(run)


@pytest.fixture
def desk(db: Session) -> Desk:
    user = add_user(db)
    sample = add_sample(db, project=add_project(db, user), images=4, policy=add_policy(db))
    return Desk(db, add_draft(db, sample=sample, user=user), user)
