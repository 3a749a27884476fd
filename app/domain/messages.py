"""Sentences for people that a page can say in another language."""

from collections.abc import Callable
from typing import Self


class Message(str):
    """A sentence in English that still knows what it was put together from.

    Message("There is no file %(name)s.", name=name) is that text with the name in it, and so reads
    in the API, on the command line and in logs. A page shows it in its reader's language: the
    sentence is looked up in the catalogue (app/locale) before the values go in. A value may be a
    message too.
    """

    __slots__ = ("msgid", "values")

    msgid: str
    values: dict[str, object]

    def __new__(cls, msgid: str, /, **values: object) -> Self:
        """Raises KeyError when the sentence names a value that is not given."""
        made = super().__new__(cls, msgid % values if values else msgid)
        made.msgid, made.values = msgid, values
        return made

    @classmethod
    def of(cls, sentence: object) -> "Message":
        """The message that this is, or that an exception was raised with."""
        if isinstance(sentence, Exception) and sentence.args:
            sentence = sentence.args[0]
        return sentence if isinstance(sentence, Message) else Message(str(sentence))

    def translated(self, gettext: Callable[[str], str]) -> str:
        """The sentence as gettext has it, with the same values."""
        # gettext answers "" with the head of the catalogue.
        sentence = gettext(self.msgid) if self.msgid else ""
        if not self.values:
            return sentence
        return sentence % {
            name: value.translated(gettext) if isinstance(value, Message) else value
            for name, value in self.values.items()
        }
