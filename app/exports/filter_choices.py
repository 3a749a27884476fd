"""The choices in the filter form: a project's annotators, policies and languages."""

from dataclasses import dataclass

from sqlalchemy import literal, select, union_all
from sqlalchemy.orm import Session

from app.models import Membership, Policy, Sample, User


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices in the filter form."""

    annotators: tuple[str, ...]
    policies: tuple[str, ...]
    languages: tuple[str, ...]


def choices(db: Session, *, project_id: int) -> Choices:
    """The project's members, the languages of its samples, and all policies."""
    rows = db.execute(
        union_all(
            select(literal("annotator"), User.name)
            .join(Membership, Membership.user_id == User.id)
            .where(Membership.project_id == project_id),
            select(literal("policy"), Policy.name),
            select(literal("language"), Sample.language)
            .where(Sample.project_id == project_id)
            .distinct(),
        )
    ).all()
    annotators, policies, languages = (
        tuple(sorted(name for kind, name in rows if kind == wanted))
        for wanted in ("annotator", "policy", "language")
    )
    return Choices(annotators, policies, languages)
