"""A regeneration's life, from the request in an annotator's transaction to its end.

What is true about it stands in its row. A worker holds it by (id, attempt): every write of a
worker asks for exactly that and for the state "running", so whoever lost it changes nothing. One
that has written as much as is read soon, or offers candidates, waits: nobody holds it, its text is
unfinished, and its annotator has it go on (resume, take).

Lock order: an annotator's transaction locks the draft, then the regeneration. A worker locks
regenerations only, in the order of their ids, and passes over a row that somebody holds.
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
