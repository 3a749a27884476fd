"""One row as a sample, whatever its shape: our fields, a chat, prompt and answer."""

from collections.abc import Mapping
from typing import Any

from app.domain.messages import Message
from app.samples.importing.incoming import (
    GivenPiece,
    ImageSource,
    IncomingSample,
    Reading,
    RowError,
)
from app.samples.importing.mapping import Columns, columns_of, missing
from app.samples.importing.records import Record, Records
from app.samples.importing.rows.chats import (
    ChatMessage,
    Conversation,
    conversation,
    is_chat,
    read_messages,
)
from app.samples.importing.rows.fields import (
    FieldError,
    id_of,
    kind_of,
    length_of,
    metadata_of,
    optional_text,
    text_of,
    title_of,
)
from app.samples.importing.rows.pictures import images_of


def read_samples(records: Records, given: Mapping[str, str]) -> Reading:
    """The sample of each record. given: columns by field, as the user mapped them.

    A first row that cannot be a sample ends the reading with one error: the file is of another
    shape than any that is known.
    """
    first = True
    for record in records:
        if isinstance(record, RowError):
            yield record
            continue
        if first and (fault := missing(record.values.keys(), given)):
            yield RowError(record.where, *fault)
            return
        first = False
        try:
            yield _Row(record, columns_of(record.values.keys(), given)).sample()
        except FieldError as error:
            yield RowError(record.where, error.field, error.message)


class _Row:
    """One row, field by field."""

    def __init__(self, record: Record, columns: Columns) -> None:
        self._record = record
        self._columns = columns

    def sample(self) -> IncomingSample:
        images = self._images()
        asked = self._conversation(len(images))
        if not asked.instruction.strip():
            raise FieldError(self._name("instruction"), "An instruction is needed.")
        return IncomingSample(
            where=self._record.where,
            source_id=self._id(),
            title=title_of(self._name("title"), self._value("title")),
            instruction=asked.instruction,
            images=images,
            output=asked.output,
            pieces=self._pieces(asked.output, len(images)),
            target_words=length_of(self._name("length"), self._value("length")),
            metadata=metadata_of(self._value("metadata"), self._others()),
            progress=self._record.progress,
            context=asked.context,
        )

    def _name(self, field: str) -> str:
        """What the row calls a field, for errors."""
        return self._columns.get(field) or field

    def _value(self, field: str) -> Any:
        column = self._columns.get(field)
        return None if column is None else self._record.values[column]

    def _others(self) -> dict[str, Any]:
        used = self._columns.used
        return {name: value for name, value in self._record.values.items() if name not in used}

    def _id(self) -> str:
        value = self._value("id")
        return self._record.default_id if value is None else id_of(self._name("id"), value)

    def _images(self) -> tuple[ImageSource, ...]:
        column = self._columns.get("images")
        if column is None:
            return ()
        return images_of(self._record, column, self._record.values[column])

    def _conversation(self, images: int) -> Conversation:
        messages = self._messages()
        system = optional_text(self._name("system"), self._value("system"))
        if system.strip() and messages[0].role != "system":
            messages.insert(0, ChatMessage(self._name("system"), "system", system))
        return conversation(
            self._name("messages"), messages, images=images, marks=not self._is_our_own()
        )

    def _is_our_own(self) -> bool:
        """Our own fields keep every text as it is; the forms of others write <image> in them."""
        if self._columns.get("input") or self._columns.get("history"):
            return False
        return self._columns.get("instruction") == "instruction"

    def _messages(self) -> list[ChatMessage]:
        if self._columns.get("messages"):
            return self._chat()
        answer = self._answer()
        # TRL's pairs may hold what was asked in both answers.
        if answer and answer[0].role != "assistant":
            return answer
        return [*self._asked(), *answer]

    def _chat(self) -> list[ChatMessage]:
        column = self._name("messages")
        if self._columns.get("instruction") == "instruction" or (
            self._columns.get("output") == "output"
        ):
            raise FieldError(column, "A line has messages or instruction and output, not both.")
        messages = read_messages(column, self._record.values[column])
        if messages[-1].role == "user" and self._columns.get("output"):
            messages += self._answer()
        return messages

    def _asked(self) -> list[ChatMessage]:
        """The messages before the answer."""
        column = self._name("instruction")
        if self._columns.get("instruction") is None:
            raise FieldError(column, "This field is missing.")
        value = self._record.values[column]
        if is_chat(value):
            return read_messages(column, value)
        text = text_of(column, value)
        more = optional_text(self._name("input"), self._value("input"))
        if more:
            text = f"{text}\n{more}"
        return [*self._history(), ChatMessage(column, "user", text)]

    def _history(self) -> list[ChatMessage]:
        """Earlier turns as Alpaca's form has them: pairs of a question and its answer."""
        field, value = self._name("history"), self._value("history") or []
        if not isinstance(value, list):
            raise FieldError(
                field, Message("A list of pairs is needed, not %(kind)s.", kind=kind_of(value))
            )
        found = []
        for at, pair in enumerate(value):
            if not isinstance(pair, list) or len(pair) != 2:
                raise FieldError(f"{field}[{at}]", "A pair of a question and its answer is needed.")
            for side, role in enumerate(("user", "assistant")):
                name = f"{field}[{at}][{side}]"
                found.append(ChatMessage(name, role, text_of(name, pair[side])))
        return found

    def _answer(self) -> list[ChatMessage]:
        column, value = self._name("output"), self._value("output")
        if is_chat(value):
            return read_messages(column, value)
        if value is None:
            segments = self._value("segments")
            if not isinstance(segments, list):
                return []
            value = "".join(part for part in segments if isinstance(part, str))
        return [ChatMessage(column, "assistant", text_of(column, value))]

    def _pieces(self, output: str, images: int) -> tuple[GivenPiece, ...] | None:
        field, value = self._name("segments"), self._value("segments")
        if value is None:
            return None
        if not isinstance(value, list):
            raise FieldError(field, "A list of texts is needed.")
        for position, part in enumerate(value):
            if text_of(f"{field}[{position}]", part) == "":
                raise FieldError(f"{field}[{position}]", "A segment holds some text.")
        if "".join(value) != output:
            raise FieldError(field, "The segments do not add up to the output.")
        # As many segments as images means one segment an image: so the course folders have it.
        linked = images > 1 and len(value) == images
        return tuple(
            GivenPiece(part, position if linked else None) for position, part in enumerate(value)
        )
