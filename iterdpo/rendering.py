"""Rows as the model's own template writes them: strings on which an unmodified DPOTrainer puts its
loss on exactly the segment.

The prefix stands in the assistant's open turn and is part of the prompt, so it takes no loss; the
segment alone is the completion, and only the end of an output is followed by end-of-turn.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iterdpo.refusals import TrainingRefusal
from iterdpo.rows import Row

# Stands for an answer where the template's end of a turn is looked up; no template knows it.
_MARK = "\u2402"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A row for the trainer. prompt: with one place for each image, and the prefix at its end."""

    prompt: str
    chosen: str
    rejected: str


class Renderer:
    """Renders with a model's processor (transformers). Raises TrainingRefusal for one whose
    template cannot be used this way.

    end_of_turn: what ends an answer. special: the strings that its tokenizer reads as commands.
    template_hash: the SHA-256 of the template, by which policies tell templates apart.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.end_of_turn = self._end_of_turn()
        self.special = tuple(
            token.content
            for token in self.tokenizer.added_tokens_decoder.values()
            if token.special and token.content
        )
        template = str(getattr(processor, "chat_template", None))
        self.template_hash = hashlib.sha256(template.encode()).hexdigest()

    def render(self, row: Row) -> Rendered:
        """The row for this model."""
        end = self.end_of_turn if row.ends_output else ""
        head = self._rendered(messages_of(row), open_answer=True)
        return Rendered(head + row.prefix, row.chosen + end, row.rejected + end)

    def _end_of_turn(self) -> str:
        answer = {"role": "assistant", "content": [_text(_MARK)]}
        _, found, end = self._rendered(
            [{"role": "user", "content": [_text("x")]}, answer]
        ).partition(_MARK)
        # What stands behind it, a newline as a rule, is written by no model: it stops before.
        if not found or not end.strip():
            raise TrainingRefusal("The model's chat template does not end an answer with a token.")
        return end.rstrip()

    def _rendered(self, messages: list[dict[str, Any]], *, open_answer: bool = False) -> str:
        return str(
            self.processor.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=open_answer
            )
        )


def messages_of(row: Row) -> list[dict[str, Any]]:
    """What the model read before its answer, with each image in its place."""
    context = json.loads(row.context or "{}")
    messages = []
    if context.get("system"):
        messages.append({"role": "system", "content": [_text(context["system"])]})
    turns = context.get("turns", [])
    for turn in turns:
        content = _parts(turn["content"], turn["image_places"])
        messages.append({"role": turn["role"], "content": content})
    rest = len(row.images) - sum(len(turn["image_places"]) for turn in turns)
    # Images first, in order, where nothing else is said: what the model saw when the pair was made.
    places = context.get("image_places") or [0] * rest
    messages.append({"role": "user", "content": _parts(row.instruction, places)})
    return messages


def _parts(text: str, places: Sequence[int]) -> list[dict[str, str]]:
    """A message as parts: texts, none empty, and an image at each place in the text."""
    found = []
    done = 0
    for at in places:
        if at > done:
            found.append(_text(text[done:at]))
        found.append({"type": "image"})
        done = at
    if done < len(text):
        found.append(_text(text[done:]))
    return found


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
