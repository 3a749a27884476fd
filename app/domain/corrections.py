"""How a pair came to be, and whether its rejected side is the policy's own."""

from enum import StrEnum

from app.domain.tree import Origin

REPLAY_ENGINE = "replay"


class Kind(StrEnum):
    """How the annotator changed the path; CHOICE: which of a model's alternatives goes on."""

    REWRITE = "rewrite"
    INSERT = "insert"
    DELETE = "delete"
    CHOICE = "choice"


class Verdict(StrEnum):
    """What the annotator said of a segment; no verdict means that it is not reviewed."""

    ACCEPTED = "accepted"
    CORRECTED = "corrected"


def is_on_policy(rejected_origin: Origin, copied: bool, policy_engine: str | None) -> bool:
    """Whether a model wrote the rejected segment itself, under the prefix that it now stands on.

    copied: the segment was carried below a correction. policy_engine: what the text came from;
    the replay engine is no model. None, for an imported output, counts as a model's.
    """
    return rejected_origin is Origin.MODEL and not copied and policy_engine != REPLAY_ENGINE
