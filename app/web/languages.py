"""The languages of the interface: English, in the source, and every catalogue in app/locale."""

import re
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from babel import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from app.domain.messages import Message

ENGLISH = "en"
# What browsers ask for, and the catalogue that serves it.
_ALIASES = dict.fromkeys(("zh", "zh_cn", "zh_sg", "zh_hans_cn", "zh_hans_sg"), "zh_Hans")
# What a sentence that is stored looks like: a mere "%(some)s of %(all)s" would fit anything.
_SENTENCE = re.compile(r"[A-Z]\w* \w.*%\(\w+\)s.*", re.DOTALL)


class Language:
    """A language of the interface: what its catalogue makes of messages.

    sentences: the msgids in which values stand, to recognise what was stored with them.
    """

    def __init__(self, catalogue: NullTranslations, sentences: tuple[str, ...] = ()) -> None:
        self.catalogue = catalogue
        self._patterns = [(re.compile(_pattern(msgid), re.DOTALL), msgid) for msgid in sentences]

    def say(self, value: object) -> object:
        """A message in this language; anything else as it is."""
        if isinstance(value, Message):
            return value.translated(self.catalogue.gettext)
        return value

    def recall(self, sentence: str) -> object:
        """A sentence that was stored in English, by a worker, which serves no reader. Its values
        are found again by their places; a sentence that nobody translated stays as it is."""
        for pattern, msgid in self._patterns:
            if match := pattern.fullmatch(sentence):
                return self.say(Message(msgid, **match.groupdict()))
        return self.say(Message(sentence))


def languages(root: Path) -> Mapping[str, Language]:
    """All languages by the code of their locale, English first; root has CODE.po for others."""
    others = {path.stem: _language(path) for path in sorted(root.glob("*.po"))}
    return MappingProxyType({ENGLISH: Language(NullTranslations()), **others})


def preferred(header: str, codes: tuple[str, ...]) -> str:
    """The one that an Accept-Language header asks for first; English when none of them is there."""
    asked = (part.partition(";")[0].strip().replace("-", "_") for part in header.split(","))
    wanted = [_ALIASES.get(code.lower(), code) for code in asked]
    return negotiate_locale(wanted, codes, sep="_") or ENGLISH


@cache
def _language(path: Path) -> Language:
    """Compiled in memory: the catalogue in the repository is all there is, nothing is built."""
    with path.open("rb") as file:
        entries = read_po(file)
    compiled = BytesIO()
    write_mo(compiled, entries)
    compiled.seek(0)
    msgids = (entry.id for entry in entries if isinstance(entry.id, str))
    return Language(Translations(compiled), tuple(filter(_SENTENCE.fullmatch, msgids)))


def _pattern(msgid: str) -> str:
    """What the sentence reads like with anything for its values."""
    seen: set[str] = set()

    def value(match: re.Match[str]) -> str:
        name = match[1]
        again = name in seen
        seen.add(name)
        return f"(?P={name})" if again else f"(?P<{name}>.+)"

    return re.sub(r"%\\\((\w+)\\\)s", value, re.escape(msgid).replace("%%", "%"))
