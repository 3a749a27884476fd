"""A draft to work on, as most tests of the annotator's verbs begin."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import regenerations
from app.annotation.edits import choice, correction, reversal, structure
from app.annotation.edits.path import PathSegment
from app.annotation.edits.revision import DraftState, draft_state
from app.models import BEING_WRITTEN, Correction, Draft, Regeneration, RunState, Segment, User
from app.models.live import is_live_pair
from app.refusals import Conflict
from tests.support.factories import SLIDES, add_draft, add_policy, add_project, add_sample, add_user


@dataclass
class Desk:
    """An annotator's draft with short hands for the verbs, always with the present version."""

    db: Session
    draft: Draft
    user: User

    @property
    def now(self) -> DraftState:
        return draft_state(self.db, self.draft)

    def at(self, number: int) -> PathSegment:
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
                .where(Correction.draft_id == self.draft.id, is_live_pair())
                .order_by(Correction.id)
            )
        )

    def accept(self, number: int) -> None:
        correction.accept(
            self.db,
            draft=self.draft,
            base_version=self.draft.version,
            segment_id=self.at(number).id,
        )

    def correct(self, number: int, text: str, *, rewrite: bool = False) -> int:
        return correction.correct(
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
        run = self._taken()
        if run.undecided:
            raise Conflict("Candidates are wanted, no text.")
        end = run.written + len(text)
        portion = regenerations.Portion(
            regeneration_id=run.id,
            attempt=run.attempt,
            start=run.written,
            text=text,
            cuts=(regenerations.Cut(end, text, None),) if cut else (),
            ending=regenerations.Ending(stop_reason) if stop_reason else None,
        )
        self._send(run, portion)

    def wait(self) -> None:
        """A worker has written enough and lets the annotator have it go on."""
        run = self._taken()
        ending = regenerations.Ending(waits=True)
        self._send(run, regenerations.Portion(run.id, run.attempt, run.written, ending=ending))

    def offer(self, *texts: str, ends_output: bool = False) -> list[Segment]:
        """A worker writes these candidates for the next segment; those that there are then."""
        run = self._taken()
        if not run.undecided:
            raise Conflict("No candidates are wanted.")
        for index, text in enumerate(texts):
            candidate = regenerations.Candidate(
                run.id, run.attempt, index, regenerations.Cut(len(text), text, None), ends_output
            )
            assert regenerations.offer(self.db, candidate) is regenerations.Outcome.WRITTEN
        regenerations.settle(self.db, regeneration_id=run.id, attempt=run.attempt)
        self.db.refresh(run)
        return list(regenerations.candidates(self.db, run))

    def offered(self) -> list[Segment]:
        """The candidates that the annotator can choose from now."""
        run = self.now.run
        if run is None or not run.undecided or not self.now.unfinished:
            return []
        return list(regenerations.candidates(self.db, run))

    def choose(self, key: int) -> int:
        """Go on with the candidate of that digit."""
        offered = self.offered()
        return choice.choose(
            self.db,
            draft=self.draft,
            base_version=self.draft.version,
            regeneration_id=self.draft.regeneration_id or 0,
            segment_id=offered[key - 1].id if key <= len(offered) else 0,
        )

    def write_on(self) -> bool:
        """The annotator wants more."""
        return choice.write_on(
            self.db, draft=self.draft, regeneration_id=self.draft.regeneration_id or 0
        )

    def undo(self) -> None:
        """Take back the last step."""
        reversal.undo(self.db, draft=self.draft, base_version=self.draft.version)

    @property
    def run(self) -> Regeneration:
        """The draft's run, as it is now."""
        run = self.now.run
        assert run is not None
        self.db.refresh(run)
        return run

    def _taken(self) -> Regeneration:
        """The run that a worker is at work on."""
        run = self.now.run
        if run is None or run.state not in BEING_WRITTEN:
            raise Conflict("Nothing is being written.")
        if run.state is RunState.QUEUED:
            policy = regenerations.register_policy(self.db, name="writer", engine="openai")
            regenerations.start(
                self.db, regeneration_id=run.id, worker="test", policy_id=policy, lease_s=60
            )
        return run

    def _send(self, run: Regeneration, portion: regenerations.Portion) -> None:
        outcome = regenerations.append(self.db, [portion], lease_s=60)
        assert outcome == {run.id: regenerations.Outcome.WRITTEN}
        self.db.refresh(run)


def make_desk(db: Session, texts: Sequence[str] = SLIDES, /, **generation: int) -> Desk:
    """A fresh draft of these segments in a project with these generation settings."""
    user = add_user(db)
    project = add_project(db, user)
    project.generation = dict(generation)
    sample = add_sample(db, project=project, texts=texts, images=4, policy=add_policy(db))
    return Desk(db, add_draft(db, sample=sample, user=user), user)


@pytest.fixture
def desk(db: Session) -> Desk:
    return make_desk(db)
