"""The prompt contract: what a model is given, as messages for a server and as a trainer's string.

Constant parts come first (system, images in order, instruction), so that a server's prefix cache
serves every continuation of a sample; the prefix comes last and is left open to be continued.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from app.domain.conversation import NO_CONTEXT, Context, Spoken, spoken
from app.domain.text import SPECIAL_STRINGS

DEFAULT_SYSTEM = "You are a helpful assistant."
END_OF_TURN = "<|im_end|>"
IMAGE_PLACEHOLDER = "<|vision_start|><|image_pad|><|vision_end|>"


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """What a continuation is asked with.

    system: "" leaves it to the model's own template (Qwen2.5-VL then says DEFAULT_SYSTEM, Qwen3-VL
    nothing). images: SHA-256 of each, in order. prefix: the text to go on from, exactly. context:
    what comes before the instruction, and where the images are; its system message is not used.
    """

    system: str
    images: tuple[str, ...]
    instruction: str
    prefix: str
    context: Context = NO_CONTEXT

    def messages(self) -> Iterator[Spoken]:
        """What is said before the answer, in order."""
        context = replace(self.context, system=self.system)
        return spoken(context, self.instruction, len(self.images))


class Renderer(Protocol):
    """Writes prompts as one model's chat template does, for rows that are tokenized as they are.

    label: what an export calls the template. model: what a trainer loads. end_of_turn: what the
    model writes when its output is over. special_strings: no text of a row may hold one.
    image_placeholder: what stands in the prompt for each image.
    """

    @property
    def label(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def end_of_turn(self) -> str: ...
    @property
    def special_strings(self) -> Collection[str]: ...
    @property
    def image_placeholder(self) -> str: ...

    def render(self, prompt: ChatPrompt) -> str:
        """The prompt as one string. It ends exactly in the prefix."""
        ...


class Template(StrEnum):
    """The built-in renderers: families of chat templates, and the model that each is known by.

    Qwen2-VL's template is that of Qwen2.5-VL, byte for byte.
    """

    QWEN2_5_VL = "qwen2.5-vl"
    QWEN3_VL = "qwen3-vl"

    @property
    def label(self) -> str:
        """Its name."""
        return self.value

    @property
    def model(self) -> str:
        """The model of the family that is trained where none is named."""
        return _MODELS[self]

    @property
    def end_of_turn(self) -> str:
        """Both families end a turn in the same way."""
        return END_OF_TURN

    @property
    def special_strings(self) -> Collection[str]:
        """The control tokens of both families."""
        return SPECIAL_STRINGS

    @property
    def image_placeholder(self) -> str:
        """The processor puts as many pads in place of the one as the image has tokens."""
        return IMAGE_PLACEHOLDER

    def render(self, prompt: ChatPrompt) -> str:
        """See render."""
        return render(prompt, self)


_MODELS = {
    Template.QWEN2_5_VL: "Qwen/Qwen2.5-VL-7B-Instruct",
    Template.QWEN3_VL: "Qwen/Qwen3-VL-8B-Instruct",
}


def chat_messages(
    prompt: ChatPrompt, image_part: Callable[[str], dict[str, object]]
) -> list[dict[str, object]]:
    """The prompt as OpenAI chat messages; image_part makes the content part for a SHA-256.

    The last message is the assistant's, to be continued and not closed. Without a prefix there is
    none: then the server must open the turn (add_generation_prompt).
    """
    messages: list[dict[str, object]] = []
    for message in prompt.messages():
        content: object = "".join(part for part in message.parts if isinstance(part, str))
        if message.role == "user":
            content = [
                {"type": "text", "text": part}
                if isinstance(part, str)
                else image_part(prompt.images[part])
                for part in message.parts
            ]
        messages.append({"role": message.role, "content": content})
    if prompt.prefix:
        messages.append({"role": "assistant", "content": prompt.prefix})
    return messages


def render(prompt: ChatPrompt, template: Template) -> str:
    """The prompt as the model's template writes it; ends exactly in the prefix."""
    if not prompt.system and template is Template.QWEN2_5_VL:
        prompt = replace(prompt, system=DEFAULT_SYSTEM)
    head = "".join(_turn(message) for message in prompt.messages())
    return f"{head}<|im_start|>assistant\n{prompt.prefix}"


def _turn(message: Spoken) -> str:
    content = "".join(
        part if isinstance(part, str) else IMAGE_PLACEHOLDER for part in message.parts
    )
    return f"<|im_start|>{message.role}\n{content}{END_OF_TURN}\n"
