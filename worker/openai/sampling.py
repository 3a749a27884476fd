"""Sampling options of a project, read from its generation settings and validated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.messages import Message
from worker.engine import EngineError

# (name, lowest, highest): numbers that go to the server as they are.
_NUMBERS = (
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("min_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("repetition_penalty", 0.0, 10.0),
)
_INTEGERS = (("top_k", -1, 2**31), ("max_tokens", 1, 10**7), ("min_tokens", 0, 10**7))


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a server is asked about sampling.

    options: only what the project sets; for the rest the server's own defaults hold (vLLM takes
    them from the model's generation_config.json). stop: strings that end the text and stay out of
    it. seed: None for a text that differs each time.
    """

    options: Mapping[str, float | int]
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logit_bias: Mapping[str, float] | None = None

    @classmethod
    def of(
        cls, settings: Mapping[str, Any], *, regeneration_id: int = 0, candidate: int | None = None
    ) -> "Sampling":
        """The sampling of a regeneration; settings that are not about sampling are left alone.

        A seed is counted on by the regeneration's id: the run that its row names can be repeated
        exactly, and asking again after the same segment gives another text. candidate: of the
        texts that a regeneration asks for at once, each has a seed far from those of the others.
        Raises EngineError, naming the setting that is wrong.
        """
        options: dict[str, float | int] = {}
        for name, lowest, highest in _NUMBERS:
            if settings.get(name) is not None:
                options[name] = _number(settings[name], name, lowest, highest)
        for name, least, most in _INTEGERS:
            if settings.get(name) is not None:
                options[name] = _integer(settings[name], name, least, most)
        seed = settings.get("seed")
        return cls(
            options=options,
            stop=_stop(settings.get("stop")),
            seed=None
            if seed is None
            else (_integer(seed, "seed", 0, 2**62) + regeneration_id + ((candidate or 0) << 40))
            % 2**62,
            logit_bias=_logit_bias(settings.get("logit_bias")),
        )


def _number(value: object, name: str, lowest: float, highest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, f"a number from {lowest:g} to {highest:g}")
    if not lowest <= value <= highest:
        raise _wrong(name, f"a number from {lowest:g} to {highest:g}")
    return float(value)


def _integer(value: object, name: str, lowest: int, highest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise _wrong(name, f"a whole number of at least {lowest}")
    return value


def _stop(value: object) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    strings = [value] if isinstance(value, str) else value
    if not isinstance(strings, list | tuple) or not all(
        isinstance(one, str) and one for one in strings
    ):
        raise _wrong("stop", "a text or a list of texts")
    return tuple(strings)


def _logit_bias(value: object) -> Mapping[str, float] | None:
    if value is None or value == {}:
        return None
    if not isinstance(value, Mapping):
        raise _wrong("logit_bias", "an object of token ids and numbers")
    return {str(token): _number(bias, "logit_bias", -100.0, 100.0) for token, bias in value.items()}


def _wrong(name: str, wanted: str) -> EngineError:
    return EngineError(
        Message(
            "The project's generation setting “%(name)s” must be %(wanted)s. Tell your admin.",
            name=name,
            wanted=wanted,
        ),
        temporary=False,
    )
