"""A regeneration's life, from the request in an annotator's transaction to its end.

Its row is the only truth. A worker holds it by (id, attempt): every write of a worker requires
exactly that and the state "running", so a worker that lost it changes nothing. A run that has
written as far ahead as wanted, or offers candidates, waits: nobody holds it, its text is
unfinished, and its annotator resumes it (resume, take).

Lock order: an annotator's transaction locks the draft, then the regeneration. A worker locks
regenerations only, in the order of their ids, and skips rows that somebody else has locked.
"""

from app.regenerations.attempts import (
    MAX_FAILURES,
    Recovered,
    Work,
    give_back,
    put_off,
    recover,
    register_policy,
    start,
)
from app.regenerations.candidates import (
    Candidate,
    candidates,
    offer,
    offer_again,
    settle,
    take,
)
from app.regenerations.following import Followed, News, Position, news, position
from app.regenerations.requests import cancel, cancel_all, leaf, request, resume, supersede
from app.regenerations.texts import clear_chunks
from app.regenerations.writing import Cut, Ending, Outcome, Portion, append

__all__ = [
    "MAX_FAILURES",
    "Candidate",
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
    "cancel_all",
    "candidates",
    "clear_chunks",
    "give_back",
    "leaf",
    "news",
    "offer",
    "offer_again",
    "position",
    "put_off",
    "recover",
    "register_policy",
    "request",
    "resume",
    "settle",
    "start",
    "supersede",
    "take",
]
