"""What a model is asked: a system message, earlier turns, and the last user message with images."""

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
