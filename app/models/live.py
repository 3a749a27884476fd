"""The condition under which a correction is a preference pair."""

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm.util import AliasedClass

from app.models.work import Correction

# Corrections, or an alias of them in a statement that compares them with each other.
Corrections = type[Correction] | AliasedClass[Correction]


def is_live_pair(of: Corrections = Correction) -> ColumnElement[bool]:
    """The condition that a correction is a pair which trainers get.

    No admin retracted it, no newer one replaced it, and the annotator's text contains what it
    chose; each revision of a draft settles that for all of its corrections
    (annotation.edits.pairing).
    """
    return and_(of.retracted_at.is_(None), of.superseded_by.is_(None), of.rested_at.is_(None))
