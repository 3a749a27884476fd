"""A regeneration's life, from the request in an annotator's transaction to its end.

What is true about it stands in its row. A worker holds it by (id, attempt): every write of a
worker asks for exactly that and for the state "running", so whoever lost it changes nothing.

Lock order: an annotator's transaction locks the draft, then the regeneration. A worker locks
regenerations only, in the order of their ids, and passes over a row that somebody holds.
"""

from app.regenerations.attempts import (
    MAX_FAILURES,
    Recovered,
    Work,
    give_back,
    recover,
    register_policy,
    start,
)
from app.regenerations.following import Followed, News, Position, news, position
from app.regenerations.requests import cancel, leaf, request, supersede
from app.regenerations.texts import clear_chunks
from app.regenerations.writing import Cut, Ending, Outcome, Portion, append

__all__ = [
    "MAX_FAILURES",
    "Cut",
    "Ending",
    "Followed",
    "News",
    "Outcome",
    "Portion",
    "Position",
    "Recovered",
    "Work",
    "append",
    "cancel",
    "clear_chunks",
    "give_back",
    "leaf",
    "news",
    "position",
    "recover",
    "register_policy",
    "request",
    "start",
    "supersede",
]
