"""Rows for tests, made through the models: people, projects, samples with their outputs."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from app.domain.certainty import Certainty, to_rows
from app.domain.segments import RuleKind
from app.domain.tree import Origin
from app.models import (
    Draft,
    Image,
    Membership,
    Policy,
    Project,
    Role,
    Sample,
    SampleImage,
    Segment,
    User,
)

_numbers = itertools.count(1)

SLIDES = (
    "## Slide 1\nWelcome to the lecture.\n\n",
    "## Slide 2\nThe chart shows 12 percent.\n\n",
    "## Slide 3\nThe table has three rows.\n\n",
    "## Slide 4\nThank you for listening.",
)


def add_user(db: Session, *, role: Role = Role.ANNOTATOR, name: str | None = None) -> User:
    """A user who cannot log in: no password."""
    name = name or f"user{next(_numbers)}"
    user = User(name=name, display_name=name.title(), role=role)
    db.add(user)
    db.flush()
    return user


def add_project(
    db: Session, *members: User, annotators: int = 1, name: str | None = None
) -> Project:
    """A project of slide scripts with these members."""
    number = next(_numbers)
    project = Project(
        name=name or f"project-{number}",
        title=f"Project {number}",
        rule=RuleKind.SLIDES,
        annotators_per_sample=annotators,
    )
    db.add(project)
    db.flush()
    db.add_all(Membership(project_id=project.id, user_id=member.id) for member in members)
    db.flush()
    return project


def add_policy(db: Session, *, engine: str = "import") -> Policy:
    """A policy of its own name."""
    policy = Policy(name=f"policy-{next(_numbers)}", engine=engine)
    db.add(policy)
    db.flush()
    return policy


def add_sample(
    db: Session,
    *,
    project: Project,
    texts: Sequence[str] = SLIDES,
    images: int = 0,
    policy: Policy | None = None,
    ends_output: bool = True,
    certainties: Mapping[int, Certainty] | None = None,
    source_id: str | None = None,
) -> Sample:
    """A sample whose imported output is these segments, in order; segment N shows image N.

    certainties: by number, as if the model that wrote them had told. source_id: where a test
    depends on it, as a snapshot's splits do; else another each time.
    """
    number = next(_numbers)
    sample = Sample(
        project_id=project.id,
        source_id=source_id or f"sample-{number}",
        title=f"Sample {number}",
        instruction="Write a lecture script for these slides.",
        content_hash=hashlib.sha256(str(number).encode()).digest(),
    )
    db.add(sample)
    db.flush()
    for position in range(images):
        sha256 = hashlib.sha256(f"{number}-{position}".encode()).hexdigest()
        db.add(Image(sha256=sha256, format="PNG", width=1920, height=1080, size=1000))
        db.flush()
        db.add(SampleImage(sample_id=sample.id, position=position, sha256=sha256))
    parent = Segment(sample_id=sample.id, depth=0, text="", origin=Origin.ROOT)
    db.add(parent)
    db.flush()
    for depth, text in enumerate(texts, start=1):
        sure = (certainties or {}).get(depth)
        segment = Segment(
            sample_id=sample.id,
            parent_id=parent.id,
            depth=depth,
            text=text,
            origin=Origin.MODEL,
            policy_id=policy.id if policy else None,
            image_index=depth - 1 if depth <= images else None,
            ends_output=ends_output and depth == len(texts),
            certainty=sure and sure.mean,
            weak_words=sure and to_rows(sure.weak),
        )
        db.add(segment)
        db.flush()
        parent = segment
    sample.head_id = parent.id
    db.flush()
    return sample


def add_draft(db: Session, *, sample: Sample, user: User) -> Draft:
    """The user's untouched draft of a sample."""
    draft = Draft(sample_id=sample.id, user_id=user.id, head_id=sample.head_id, version=1)
    db.add(draft)
    sample.taken += 1
    db.flush()
    return draft
