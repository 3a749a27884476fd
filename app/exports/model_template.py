"""Renders with a model's own chat template, read from its directory, without its libraries.

Templates are Jinja, compiled as transformers compiles them (utils/chat_template_utils.py: sandbox,
block trimming, loop controls, its filters and functions). Before the first row is rendered, the
template is tested for everything that rows rely on. A template that fails a test is refused, so
that no row teaches the wrong thing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.domain.prompts import ChatPrompt
from app.domain.text import SPECIAL_STRINGS
from app.refusals import Invalid

_FIELD = "model"
_MARK = "\u2402mark\u2402"
# Texts as a template might change them.
_PROBES = (_MARK, f"  {_MARK}", f"\n{_MARK}", f"{_MARK}\n\n", f"{_MARK} ", f"a\r\n{_MARK}\r\n")
_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")


@dataclass(frozen=True)
class ModelTemplate:
    """Renders like the chat template in a model's directory. See Renderer.

    Created by load_template, which has verified that a rendered prompt ends in exactly its prefix.
    """

    label: str
    model: str
    end_of_turn: str
    special_strings: tuple[str, ...]
    image_placeholder: str
    chat: "_Chat" = field(repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the template as its file holds it; identifies it in manifests."""
        return hashlib.sha256(self.chat.source.encode()).hexdigest()

    def saved(self) -> dict[str, Any]:
        """JSON values from which restore_template makes it without the directory."""
        return {
            "label": self.label,
            "template": self.chat.source,
            "tokens": dict(self.chat.tokens),
            "special_strings": list(self.special_strings),
        }

    def render(self, prompt: ChatPrompt) -> str:
        """The prompt as the model's template writes it. It ends exactly in the prefix.

        Raises Invalid when the template does not keep the instruction as it is.
        """
        return self.chat.head(replace(prompt, prefix="")) + prompt.prefix


def load_template(directory: Path) -> ModelTemplate:
    """Load the renderer of a model in a directory.

    Raises Invalid (field "model") for a directory without a chat template, and for a template that
    cannot be rendered, shows no images, changes texts, or opens an answer differently from how it
    continues one.
    """
    if not directory.is_dir():
        raise Invalid(f"{directory} is not a directory.", field=_FIELD)
    settings = _json(directory / "tokenizer_config.json")
    tokens = _tokens(settings, _json(directory / "special_tokens_map.json"))
    # The strings that a tokenizer takes for control tokens; the built-in list guards the rest.
    special = _special_strings(settings, _json(directory / "tokenizer.json"), tokens)
    label = directory.resolve().name
    return _proved(_Chat(label, _source(directory, settings), tokens), str(directory), special)


def restore_template(saved: Mapping[str, Any]) -> ModelTemplate:
    """Restore a saved renderer; its label replaces the directory in what trainers read."""
    chat = _Chat(saved["label"], saved["template"], saved["tokens"])
    return _proved(chat, chat.name, tuple(saved["special_strings"]))


def _proved(chat: "_Chat", model: str, special: tuple[str, ...]) -> ModelTemplate:
    placeholder = chat.image_placeholder()
    end = chat.end_of_turn()
    if not any(end.endswith(string) for string in special):
        raise Invalid(
            f"{chat.name} ends an answer with {end!r}, which is no special token of its tokenizer.",
            field=_FIELD,
        )
    return ModelTemplate(
        label=chat.name,
        model=model,
        end_of_turn=end,
        special_strings=special,
        image_placeholder=placeholder,
        chat=chat,
    )


class _Chat:
    """The template itself, and the checks on it."""

    def __init__(self, name: str, source: str, tokens: Mapping[str, str]) -> None:
        self.name = name
        self.source = source
        self.tokens = tokens
        self._template = _compiled(name, source)
        # Everything before the prefix. The pairs of a sample follow one another and share it.
        self.head = lru_cache(maxsize=64)(self._head)

    def image_placeholder(self) -> str:
        """What the template writes for an image, in front of the instruction."""
        none, one, two = (
            self._open(_asked(images, _MARK)).partition(_MARK)[0] for images in range(3)
        )
        found = two.removeprefix(one)
        if not found or found == two or not one.endswith(found) or found in none:
            raise Invalid(
                f"The chat template of {self.name} shows no images before the instruction: "
                "it is not that of a vision-language model.",
                field=_FIELD,
            )
        return found

    def end_of_turn(self) -> str:
        """What follows an answer. Proves on the way that texts are kept as they are."""
        for probe in _PROBES:
            self.head(_asked(1, probe))
        tails = {self._tail(probe) for probe in _PROBES}
        # What stands between two turns is written by no model.
        end = tails.pop().rstrip()
        if tails or not end:
            raise Invalid(
                f"The chat template of {self.name} does not close every answer in one way.",
                field=_FIELD,
            )
        return end

    def _tail(self, text: str) -> str:
        """What the template writes behind an answer."""
        head = self.head(_asked(1, "x"))
        whole = self._answered(text)
        if not whole.startswith(head):
            why = "it opens an answer in another way than it shows one"
        elif not whole.startswith(head + text):
            why = "it trims answers, or changes them"
        else:
            return whole.removeprefix(head + text)
        raise Invalid(
            f"The chat template of {self.name} cannot continue an answer exactly: {why}.",
            field=_FIELD,
        )

    def _answered(self, text: str) -> str:
        """A turn of each; some templates know an answer only as a list of parts."""
        as_parts = [{"type": "text", "text": text}]
        try:
            whole = self._render(
                [*_messages(_asked(1, "x")), {"role": "assistant", "content": text}], opens=False
            )
        except Invalid:
            whole = ""
        if text.strip() in whole:
            return whole
        return self._render(
            [*_messages(_asked(1, "x")), {"role": "assistant", "content": as_parts}], opens=False
        )

    def _head(self, prompt: ChatPrompt) -> str:
        head = self._open(prompt)
        opening = self._open(_asked(0, _MARK)).rpartition(_MARK)[2]
        changed = self._changed(prompt, head.removesuffix(opening))
        if changed is None and not head.endswith(opening):
            changed = prompt.instruction
        if changed is not None:
            raise Invalid(
                f"The chat template of {self.name} changes this text: {changed[:60]!r}.",
                field=_FIELD,
            )
        return head

    def _changed(self, prompt: ChatPrompt, head: str) -> str | None:
        """The first text that the template's output does not contain; None if all are there.

        The end of the last message must be the end of the output.
        """
        at = 0
        messages = list(prompt.messages())
        for message in messages:
            for part in message.parts:
                if isinstance(part, str):
                    at = head.find(part, at)
                    if at < 0:
                        return part
                    at += len(part)
        last = messages[-1].parts[-1]
        return last if isinstance(last, str) and not head.endswith(last) else None

    def _open(self, prompt: ChatPrompt) -> str:
        return self._render(_messages(prompt), opens=True)

    def _render(self, messages: list[dict[str, Any]], *, opens: bool) -> str:
        try:
            return self._template.render(
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=opens,
                **self.tokens,
            )
        except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise Invalid(
                f"The chat template of {self.name} cannot be rendered: {error}.", field=_FIELD
            ) from error


def _asked(images: int, instruction: str) -> ChatPrompt:
    return ChatPrompt("", ("",) * images, instruction, "")


def _messages(prompt: ChatPrompt) -> list[dict[str, Any]]:
    """Messages in the form that templates take: the user's content as parts, others' as text."""
    return [
        {
            "role": message.role,
            "content": [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
                for part in message.parts
            ]
            if message.role == "user"
            else "".join(part for part in message.parts if isinstance(part, str)),
        }
        for message in prompt.messages()
    ]


def _compiled(name: str, source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)  # noqa: DTZ005 - as transformers does
    try:
        return environment.from_string(source)
    except TemplateError as error:
        raise Invalid(
            f"The chat template of {name} cannot be read: {error}.", field=_FIELD
        ) from error


def _source(directory: Path, settings: Mapping[str, Any]) -> str:
    """The template that a processor loads: its own file first, then what older versions wrote."""
    file = directory / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    for found in (
        _json(directory / "chat_template.json").get("chat_template"),
        _json(directory / "processor_config.json").get("chat_template"),
        settings.get("chat_template"),
    ):
        if isinstance(found, list):  # several by name
            found = {one["name"]: one["template"] for one in found}.get("default")
        if isinstance(found, str):
            return found
    raise Invalid(
        f"{directory} has no chat template (chat_template.jinja, or one in tokenizer_config.json).",
        field=_FIELD,
    )


def _tokens(*settings: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens that templates refer to by name."""
    found: dict[str, str] = {}
    for name in _TOKENS:
        for setting in settings:
            token = setting.get(name)
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                found.setdefault(name, token)
    return found


def _special_strings(
    settings: Mapping[str, Any], tokenizer: Mapping[str, Any], tokens: Mapping[str, str]
) -> tuple[str, ...]:
    added = [
        *settings.get("added_tokens_decoder", {}).values(),
        *tokenizer.get("added_tokens", []),
    ]
    found = {token["content"]: None for token in added if token.get("special")}
    found |= dict.fromkeys(tokens.values())
    return tuple(string for string in (found | dict.fromkeys(SPECIAL_STRINGS)) if string)


def _json(file: Path) -> Mapping[str, Any]:
    """A file of settings; {} when there is none."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Invalid(f"{file} is no JSON: {error}.", field=_FIELD) from error
    return found if isinstance(found, dict) else {}


class _Generation(Extension):
    """{% generation %} … {% endgeneration %} marks a model's own words: here it is just a block."""

    tags = {"generation"}  # noqa: RUF012 - Jinja declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        """The block's body, in a scope of its own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes HTML.
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
