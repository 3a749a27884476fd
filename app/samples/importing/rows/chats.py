"""Messages of a chat, in each of the forms that data sets have, as one conversation."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.conversation import Context, Turn
from app.domain.messages import Message
from app.samples.importing.rows.fields import FieldError, kind_of, text_of

MARK = "<image>"
# Marks at the start only, each with the blanks and the newline that set it off: in data for
# LLaMA-Factory they stand before the instruction, one a line or all in a row.
_LEADING = re.compile(rf"(?:{MARK}[ \t]*\n?)+")
_ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
MAX_TURNS = 1_000


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message as its row has it. places: of images that are parts of it; marks in content are
    still there. field: what the row calls it."""

    field: str
    role: str
    content: str
    places: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is asked, and what a model answered ("" if nothing yet)."""

    context: Context
    instruction: str
    output: str


def is_chat(value: object) -> bool:
    """Whether a value is a list of messages, or a single one."""
    if isinstance(value, dict):
        return ("role" in value and "content" in value) or ("from" in value and "value" in value)
    return isinstance(value, list) and bool(value) and is_chat(value[0])


def read_messages(field: str, value: object) -> list[ChatMessage]:
    """The messages of a list: objects with role and content or with from and value, texts in turn
    from the user's on, or texts that hold such an object as JSON. Raises FieldError."""
    if isinstance(value, dict):
        return [_message(field, value)]
    if not isinstance(value, list) or not value:
        raise FieldError(field, "A list of messages is needed.")
    if len(value) > MAX_TURNS:
        raise FieldError(
            field, Message("A conversation has at most %(most)s messages.", most=MAX_TURNS)
        )
    if all(isinstance(message, str) for message in value):
        written = [_as_json(message) for message in value]
        if None not in written:
            value = written
        else:
            return [
                ChatMessage(
                    f"{field}[{at}]",
                    "assistant" if at % 2 else "user",
                    text_of(f"{field}[{at}]", message),
                )
                for at, message in enumerate(value)
            ]
    return [_message(f"{field}[{at}]", message) for at, message in enumerate(value)]


def conversation(
    field: str, messages: Sequence[ChatMessage], *, images: int, marks: bool = True
) -> Conversation:
    """The messages as a conversation that ends in the user's message or in an answer to it.

    images: how many the row has; they are where its marks or parts are, or else at the start of the
    first user message. marks: whether <image> in a user's text means an image. Raises FieldError.
    """
    system = ""
    rest = list(messages)
    if rest and rest[0].role == "system":
        system = rest.pop(0).content
    for at, message in enumerate(rest):
        wanted = "assistant" if at % 2 else "user"
        if message.role != wanted:
            raise FieldError(
                f"{message.field}.role",
                Message(
                    'The role "%(role)s" is needed here: after a system message, if any, user and '
                    "assistant take turns.",
                    role=wanted,
                ),
            )
    if not rest:
        raise FieldError(field, "A user's message is needed.")
    output = rest.pop().content if len(rest) % 2 == 0 else ""
    placed = _placed(field, rest, images, marks=marks)
    *earlier, last = placed
    places = last.places if any(last.places) else ()
    return Conversation(Context(system, tuple(earlier), places), last.content, output)


def _placed(field: str, messages: Sequence[ChatMessage], images: int, *, marks: bool) -> list[Turn]:
    in_parts = sum(len(message.places) for message in messages)
    in_marks = sum(message.content.count(MARK) for message in messages if message.role == "user")
    if in_parts:
        _agree(field, in_parts, images)
        return [Turn(_role(message), message.content, message.places) for message in messages]
    if not marks or not in_marks:
        places = (0,) * images
        first, *rest = messages
        return [
            Turn("user", first.content, places),
            *(Turn(_role(message), message.content) for message in rest),
        ]
    one = messages[0].field if len(messages) == 1 else field
    _agree(one, in_marks, images)
    return [
        Turn("user", *_without_marks(message.content))
        if message.role == "user"
        else Turn("assistant", message.content)
        for message in messages
    ]


def _role(message: ChatMessage) -> Any:
    return message.role


def _agree(field: str, found: int, images: int) -> None:
    if found != images:
        raise FieldError(
            field,
            Message(
                "The text has %(placeholders)s %(placeholder)s and the row %(images)s images.",
                placeholders=found,
                placeholder=MARK,
                images=images,
            ),
        )


def _without_marks(text: str) -> tuple[str, tuple[int, ...]]:
    places: list[int] = []
    leading = _LEADING.match(text)
    if leading:
        places += [0] * leading.group().count(MARK)
        text = text[leading.end() :]
    pieces = text.split(MARK)
    done = 0
    for piece in pieces[:-1]:
        done += len(piece)
        places.append(done)
    return "".join(pieces), tuple(places)


def _message(field: str, value: object) -> ChatMessage:
    if not isinstance(value, dict):
        raise FieldError(
            field, Message("A message is needed here, not %(kind)s.", kind=kind_of(value))
        )
    role_name, text_name = ("from", "value") if "from" in value else ("role", "content")
    role = _ROLES.get(str(value.get(role_name)).lower())
    if role is None:
        raise FieldError(
            f"{field}.{role_name}",
            Message(
                'A message of "%(role)s" cannot be shown: system, user and assistant can.',
                role=str(value.get(role_name))[:50],
            ),
        )
    content, places = _content(f"{field}.{text_name}", value.get(text_name))
    return ChatMessage(field, role, content, places)


def _content(field: str, value: object) -> tuple[str, tuple[int, ...]]:
    """The text of a message whose content is a text, or a list of parts with images among them."""
    if not isinstance(value, list):
        return text_of(field, value), ()
    texts: list[str] = []
    places: list[int] = []
    done = 0
    for at, part in enumerate(value):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            texts.append(text_of(f"{field}[{at}].text", part.get("text")))
            done += len(texts[-1])
        elif kind == "image":
            places.append(done)
        else:
            raise FieldError(
                f"{field}[{at}]",
                'A part with the type "text" or "image" is needed; images are listed in the '
                "row's images.",
            )
    return text_of(field, "".join(texts)), tuple(places)


def _as_json(text: str) -> dict[str, Any] | None:
    """The message that a text holds as JSON; None if it is a text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if is_chat(value) else None
