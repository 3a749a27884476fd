"""What rows are: one JSON object each, made for a target."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from app.domain.messages import Message
from app.domain.prompts import ChatPrompt, Renderer

Row = dict[str, object]
# The tags by which LLaMA-Factory and ms-swift find the places of media in a text.
MEDIA_TAGS = ("<image>", "<video>", "<audio>")


class Reader(StrEnum):
    """What a reader of images does by itself.

    BYTES: all that is needed. DATASETS: it turns an image upright and puts it on white, as datasets
    and transformers do, but takes 16 bits a channel for white. PILLOW: nothing.
    """

    BYTES = "bytes"
    DATASETS = "datasets"
    PILLOW = "pillow"


class Unheld(ValueError):  # noqa: N818 - nothing is wrong with the text
    """A text that a file cannot hold, since its trainer would misread it; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom rows are for: the model's renderer, and what they call an image.

    image: the address of an image by its SHA-256; None: its path in the export's folder. file: that
    path by the SHA-256 of the original, where a normalised image has taken its place.
    """

    renderer: Renderer
    image: Callable[[str], str] | None = None
    file: Callable[[str], str] | None = None

    def images(self, images: tuple[str, ...], files: tuple[str, ...]) -> list[str]:
        """What a row lists."""
        name = self.image or self.file
        return list(files) if name is None else list(map(name, images))


def tagged(prompt: ChatPrompt) -> list[tuple[str, str]]:
    """The messages of a prompt as role and text, with a tag where each image is.

    Raises Unheld for a text that holds a tag itself: the images would move there.
    """
    return [
        (
            message.role,
            "".join(
                without_tags(part) if isinstance(part, str) else "<image>" for part in message.parts
            ),
        )
        for message in prompt.messages()
    ]


def without_tags(text: str) -> str:
    """The text itself. Raises Unheld when it holds a tag of media."""
    if "<" in text:
        for tag in MEDIA_TAGS:
            if tag in text:
                raise Unheld(
                    Message(
                        "The text contains %(tag)s, which trainers read as a placeholder for "
                        "media.",
                        tag=tag,
                    )
                )
    return text


def iso(moment: datetime) -> str:
    """The moment in UTC, as text."""
    return moment.astimezone(UTC).isoformat()
