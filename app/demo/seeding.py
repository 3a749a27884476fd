"""Puts the demonstration into a database; what is there already stays as it is."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.accounts.demo import DEMO_ACCOUNTS, DemoAccount
from app.demo.content import DemoProject, demo_projects
from app.demo.work import correct_water_lecture
from app.images.store import ImageStore
from app.models import Membership, Project, Role, Sample, User
from app.samples.importing import import_samples
from app.security import hash_password
from app.settings import Settings

# A second annotator, so that drafts of two people on one sample can be tried.
SECOND_ANNOTATOR = DemoAccount("ben", "Ben Okafor", Role.ANNOTATOR, "demo-annotator")


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What seeding added; all zero when everything was there."""

    accounts: int
    projects: int
    samples: int


def seed(db: Session, settings: Settings) -> DemoSummary:
    """Make the demo accounts, projects and samples that are missing."""
    accounts = [account for account in (*DEMO_ACCOUNTS, SECOND_ANNOTATOR) if _add_user(db, account)]
    names = [account.name for account in (*DEMO_ACCOUNTS, SECOND_ANNOTATOR)]
    members = db.scalars(
        select(User.id).where(User.demo, User.name.in_(names), User.role != Role.ADMIN)
    ).all()
    store = ImageStore(settings.images, max_megapixels=settings.max_image_megapixels)
    projects = samples = 0
    for wanted in demo_projects():
        project = db.scalar(select(Project).where(Project.name == wanted.name))
        if project is None:
            project = _add_project(db, wanted, list(members))
            projects += 1
        samples += _add_samples(db, wanted, project, store)
    _add_work(db)
    return DemoSummary(len(accounts), projects, samples)


def _add_user(db: Session, account: DemoAccount) -> bool:
    if db.scalar(select(User.id).where(func.lower(User.name) == account.name.lower())):
        return False
    db.add(
        User(
            name=account.name,
            display_name=account.display_name,
            role=account.role,
            password_hash=hash_password(account.password),
            demo=True,
        )
    )
    db.flush()
    return True


def _add_project(db: Session, wanted: DemoProject, members: list[int]) -> Project:
    project = Project(
        name=wanted.name,
        title=wanted.title,
        guidelines=wanted.guidelines,
        rule=wanted.rule,
        annotators_per_sample=2,
    )
    db.add(project)
    db.flush()
    if members:
        rows = [{"project_id": project.id, "user_id": member} for member in members]
        db.execute(insert(Membership), rows)
    return project


def _add_work(db: Session) -> None:
    """The second annotator's draft, unless somebody has begun the sample already."""
    sample = db.scalar(
        select(Sample.id)
        .join(Project, Project.id == Sample.project_id)
        .where(Project.name == "lectures", Sample.source_id == "water-5-slides", Sample.taken == 0)
    )
    annotator = db.scalar(select(User.id).where(User.name == SECOND_ANNOTATOR.name, User.demo))
    if sample is not None and annotator is not None:
        correct_water_lecture(db, sample_id=sample, user_id=annotator)


def _add_samples(db: Session, wanted: DemoProject, project: Project, store: ImageStore) -> int:
    there = set(db.scalars(select(Sample.source_id).where(Sample.project_id == project.id)))
    missing = wanted.authors.keys() - there
    if not missing:
        return 0
    samples = [sample for sample in wanted.samples() if sample.source_id in missing]
    for author in sorted({wanted.authors[source_id] for source_id in missing}):
        import_samples(
            db,
            project=project,
            reading=[sample for sample in samples if wanted.authors[sample.source_id] == author],
            store=store,
            actor_id=None,
            policy=author,
            source="demo",
        )
    return len(samples)
