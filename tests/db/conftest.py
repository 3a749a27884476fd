"""A draft to work on, as most tests of the annotator's verbs begin."""

from dataclasses import dataclass

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.annotation import service, structure
from app.annotation.path import Step
from app.annotation.steps import Standing, standing
from app.models import Correction, Draft, User
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


@pytest.fixture
def desk(db: Session) -> Desk:
    user = add_user(db)
    sample = add_sample(db, project=add_project(db, user), images=4, policy=add_policy(db))
    return Desk(db, add_draft(db, sample=sample, user=user), user)
