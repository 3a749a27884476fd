"""What a model is asked: a system message, earlier turns, and the last user message with images."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier message of a conversation.

    places: for each image that the message shows, how many characters of content come before it;
    never decreasing.
    """

    role: Role
    content: str
    places: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_places(self.content, self.places)

    def to_json(self) -> dict[str, Any]:
        """The turn as it is stored and as raw rows show it."""
        return {"role": self.role, "content": self.content, "image_places": list(self.places)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Turn":
        """The turn that to_json wrote."""
        return cls(value["role"], value["content"], tuple(value["image_places"]))


def check_places(content: str, places: Sequence[int]) -> None:
    """Raises ValueError for places outside of the text or in a wrong order."""
    if list(places) != sorted(places) or any(not 0 <= at <= len(content) for at in places):
        raise ValueError("The places of images must lie in the text, in order.")


def parts(content: str, places: Sequence[int]) -> Iterator[str | None]:
    """The message piece by piece: texts, none empty, and None where an image is."""
    done = 0
    for at in places:
        if at > done:
            yield content[done:at]
        yield None
        done = at
    if done < len(content):
        yield content[done:]


@dataclass(frozen=True, slots=True)
class Context:
    """What a model reads around an instruction.

    system: "" where there is none. turns: the conversation before the instruction; they show the
    sample's first images. image_places: of the other images, in the instruction as in a turn; empty
    where all of them come before it.
    """

    system: str = ""
    turns: tuple[Turn, ...] = ()
    image_places: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.system or self.turns or self.image_places)

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything in it that a model reads."""
        return tuple(text for text in (self.system, *(t.content for t in self.turns)) if text)

    def to_json(self) -> dict[str, Any]:
        """The context as rows show it."""
        return {
            "system": self.system,
            "turns": [turn.to_json() for turn in self.turns],
            "image_places": list(self.image_places),
        }

    @classmethod
    def from_json(
        cls, system: str, turns: Sequence[Mapping[str, Any]], image_places: Sequence[int]
    ) -> "Context":
        """The context of a sample as it is stored."""
        return cls(system, tuple(map(Turn.from_json, turns)), tuple(image_places))

    def written(self) -> str:
        """The context as JSON text for one column of a table; "" where there is none."""
        return json.dumps(self.to_json(), ensure_ascii=False) if self else ""


NO_CONTEXT = Context()


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message as a model reads it. parts: texts, none empty, and the 0-based numbers of images
    among the sample's."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | int, ...]


def spoken(context: Context, instruction: str, images: int) -> Iterator[Spoken]:
    """The messages up to the instruction, in order. images: how many the sample has.

    Raises ValueError where the places do not fit the number of images.
    """
    if context.system:
        yield Spoken("system", (context.system,))
    shown = 0
    for turn in context.turns:
        yield Spoken(turn.role, _numbered(turn.content, turn.places, shown))
        shown += len(turn.places)
    places = context.image_places or (0,) * (images - shown)
    if shown + len(places) != images:
        raise ValueError("Every image of a sample has its place in one message.")
    yield Spoken("user", _numbered(instruction, places, shown))


def _numbered(content: str, places: Sequence[int], first: int) -> tuple[str | int, ...]:
    numbers = iter(range(first, first + len(places)))
    return tuple(next(numbers) if part is None else part for part in parts(content, places))
