"""How the model is asked to continue: a project's generation settings, checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.messages import Message
from app.domain.text import defect
from app.refusals import Invalid

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that may be set. whole: an integer; otherwise a decimal with a dot."""

    least: float
    most: float
    whole: bool


# What the settings page shows. An engine may know more; those are kept.
LIMITS: Mapping[str, Limit] = {
    "max_tokens": Limit(1, 131_072, whole=True),
    "temperature": Limit(0, 2, whole=False),
    "top_p": Limit(0.01, 1, whole=False),
    "look_ahead": Limit(1, 50, whole=True),
    "candidates": Limit(2, 9, whole=True),
}
SHOWN = frozenset({"system", *LIMITS})
_SYSTEM_MAX = 20_000


def generation_settings(values: Mapping[str, str]) -> dict[str, Any]:
    """The settings as they are kept: what is given, nothing for what is left to the model.

    system: said to the model before the task. max_tokens: of one continuation. temperature, top_p:
    of the sampling. look_ahead: segments written before the annotator is waited for; without it
    the whole text is. candidates: ways to go on after a correction, to choose from.
    Raises Invalid, naming the field, for an unknown one or a number out of its range.
    """
    settings: dict[str, Any] = {}
    for name, text in values.items():
        if not text.strip():
            continue
        if name == "system":
            settings[name] = _system(text)
        elif name in LIMITS:
            settings[name] = _number(name, text.strip(), LIMITS[name])
        else:
            raise Invalid(
                Message("There is no generation setting named %(name)s.", name=name), name
            )
    return settings


def _system(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if problem := defect(text):
        raise Invalid(problem, "system")
    if len(text) > _SYSTEM_MAX:
        raise Invalid(
            Message("A system prompt can have at most %(most)s characters.", most=_SYSTEM_MAX),
            "system",
        )
    return text


def _number(name: str, text: str, limit: Limit) -> Value:
    try:
        value = int(text) if limit.whole else float(text)
    except ValueError:
        value = math.nan
    if not limit.least <= value <= limit.most:
        raise Invalid(_out_of_range(limit), name)
    return value


def _out_of_range(limit: Limit) -> Message:
    least, most = f"{limit.least:g}", f"{limit.most:g}"
    if limit.whole:
        return Message(
            "It must be a whole number from %(least)s to %(most)s.", least=least, most=most
        )
    return Message("It must be a number from %(least)s to %(most)s.", least=least, most=most)
