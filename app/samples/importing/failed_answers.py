"""Outputs that are no text of a model but an error of the API that was asked for one."""

from app.domain.messages import Message

# A longer text may well quote one of these sentences.
_LONGEST = 500
_BEGINNINGS = (
    "i'm sorry, but i can't assist with that",
    "i\u2019m sorry, but i can\u2019t assist with that",
    "error code: ",
    "rate limit reached",
    "openai.error",
)


def is_failed_answer(output: str) -> bool:
    """Whether an output equals or begins with an API's error sentence."""
    return len(output) < _LONGEST and output.strip().lower().startswith(_BEGINNINGS)


def failed_answers(count: int) -> Message:
    """What the user should know of so many of them."""
    return Message(
        "Outputs that look like an error of an API, not like a text: %(count)s.", count=count
    )
