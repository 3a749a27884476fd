"""The gate in front of every export: what is wrong with a pair, found by checks with names.

A check never mends and never drops: it finds. Whoever writes pairs leaves out what was found, and
counts it by the name of the check; a check that is allowed finds nothing.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from rapidfuzz.distance import Prefix as Shared

from app.domain.corrections import Kind
from app.domain.messages import Message
from app.domain.prefixes import Piece, Prefix, crosses
from app.domain.prompts import Template
from app.domain.text import language
from app.domain.tokencount import TURNS, VISION

# A language is told from so much of a text, and from no less than so much.
_SPEAKING = 400
_WORDLESS = 20


class Check(StrEnum):
    """What a pair is looked at for, in this order; the first that finds something counts."""

    RETRACTED = "retracted"
    EMPTY = "empty"
    IDENTICAL = "identical"
    SPECIAL = "special"
    RESERVED = "reserved"
    CONTROL = "control"
    WHITESPACE = "whitespace"
    TRUNCATED = "truncated"
    SHORTER = "shorter"
    LANGUAGE = "language"
    TOKENS = "tokens"
    DUPLICATE = "duplicate"


# What each finds, for people: (title, sentence).
CHECKS: Mapping[Check, tuple[Message, Message]] = MappingProxyType(
    {
        Check.RETRACTED: (
            Message("Taken back"),
            Message(
                "An admin took the pair back, or the annotator's text no longer contains it. "
                "Such pairs are never exported."
            ),
        ),
        Check.EMPTY: (
            Message("One side is empty"),
            Message(
                "One side has only whitespace. A trainer accepts it without an error and "
                "learns nothing from it."
            ),
        ),
        Check.IDENTICAL: (
            Message("Identical"),
            Message("The chosen and the rejected text are the same."),
        ),
        Check.SPECIAL: (
            Message("Special strings"),
            Message("A text contains a string such as <|im_end|>, which models read as a command."),
        ),
        Check.RESERVED: (
            Message("Strings reserved by the format"),
            Message(
                "A text contains a string such as <image>, which trainers that read this "
                "format take for an image. Other formats can contain it."
            ),
        ),
        Check.CONTROL: (
            Message("Control characters"),
            Message("A text contains a control character other than tab and newline."),
        ),
        Check.WHITESPACE: (
            Message("Only whitespace differs"),
            Message("The two sides differ only in whitespace."),
        ),
        Check.TRUNCATED: (
            Message("Truncated generation"),
            Message(
                "The rejected side ends where generation was stopped, failed or reached its "
                "length limit. The model did not choose to end there."
            ),
        ),
        Check.SHORTER: (
            Message("Chosen is much shorter"),
            Message(
                "The rewritten side has fewer characters than a set share of the rejected side."
            ),
        ),
        Check.LANGUAGE: (
            Message("Language switched"),
            Message("The chosen side is not in the sample's language, but the rejected side is."),
        ),
        Check.TOKENS: (
            Message("Token budget exceeded"),
            Message(
                "The prompt, the images and the longer side have more tokens than the "
                "budget, by estimate."
            ),
        ),
        Check.DUPLICATE: (
            Message("Duplicate"),
            Message(
                "Another pair has the same images, instruction, prefix, chosen and rejected "
                "text. The first one is kept."
            ),
        ),
    }
)

# A trainer cannot use these, whatever is asked for.
NEVER_ALLOWED = frozenset({Check.RETRACTED, Check.EMPTY, Check.IDENTICAL, Check.RESERVED})
MIN_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Gate:
    """What is checked. allowed: checks that let everything pass. min_share: of characters that
    chosen must have of rejected, 0 to 1. max_tokens: of a whole row; 0: what the model reads.
    reserved: strings that the format can hold in no text. special: further strings that the model
    reads as a command, beside those that are always looked for.

    Raises ValueError for a check that cannot be allowed and for a parameter out of range.
    """

    template: Template = Template.QWEN2_5_VL
    allowed: frozenset[Check] = frozenset()
    min_share: float = MIN_SHARE
    max_tokens: int = 0
    reserved: tuple[str, ...] = ()
    special: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if fixed := self.allowed & NEVER_ALLOWED:
            names = ", ".join(sorted(fixed))
            raise ValueError(
                Message(
                    "What the check %(names)s finds is never exported, because trainers cannot "
                    "use it.",
                    names=names,
                )
            )
        if not 0 <= self.min_share <= 1:
            raise ValueError("The least share of the rejected side's length lies from 0 to 1.")
        if self.max_tokens < 0:
            raise ValueError("A token budget is a number above 0.")

    @property
    def budget(self) -> int:
        """Tokens that a row may have."""
        return self.max_tokens or VISION[self.template].context

    def canonical(self) -> dict[str, object]:
        """As JSON values, for manifests and hashes."""
        return {
            "allowed": sorted(self.allowed),
            "max_tokens": self.budget,
            "min_share": self.min_share,
        }


@dataclass(frozen=True, slots=True)
class Setting:
    """What a sample's pairs have in common. language: the sample's, content: a hash of images and
    instruction, tokens: of both, estimated; special, control: found in the instruction, which is
    `asked`."""

    language: str
    content: bytes
    tokens: float
    special: bool
    control: bool
    asked: str = ""


@dataclass(slots=True)
class Inspection:
    """A gate at work on one export: it remembers what it has let pass, to know duplicates.

    found: how many pairs each check has found. examples: the ids of the first of them. passed: how
    many pairs got through. What else leaves is looked at in the same way (find_text).
    """

    gate: Gate
    keep: int = 100
    passed: int = 0
    found: dict[Check, int] = field(default_factory=dict)
    examples: dict[Check, list[str]] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _reserved: "_Strings" = field(init=False)
    _special: "_Strings" = field(init=False)

    def __post_init__(self) -> None:
        self._reserved = _Strings(self.gate.reserved)
        self._special = _Strings(self.gate.special)

    def next(self) -> "Inspection":
        """One for what is written beside this: it counts anew and knows the same pairs."""
        return Inspection(self.gate, self.keep, _seen=self._seen)

    def find(
        self,
        pair_id: str,
        *,
        kind: Kind,
        setting: Setting,
        prefix: Prefix,
        chosen: Piece,
        rejected: Piece,
        truncated: bool,
    ) -> Check | None:
        """The first check that finds something in a pair, counted; None lets it pass.

        truncated: the rejected side is where a generation broke off.
        """
        check = self._wrong(kind, setting, prefix, chosen, rejected, truncated)
        return self._noted(check, pair_id)

    def find_text(
        self, key: str, *, setting: Setting, prefix: Prefix, text: Piece, about: Hashable
    ) -> Check | None:
        """The first check that finds something in a text behind a prefix, counted; None lets it
        pass. about: what makes two rows with the same texts another row."""
        return self._noted(self._wrong_text(setting, prefix, text, about), key)

    def _noted(self, check: Check | None, key: str) -> Check | None:
        if check is None:
            self.passed += 1
        else:
            self.count(check, key)
        return check

    def count(self, check: Check, *pair_ids: str) -> None:
        """Note what a check has found, wherever it was found."""
        self.found[check] = self.found.get(check, 0) + len(pair_ids)
        examples = self.examples.setdefault(check, [])
        examples.extend(pair_ids[: max(0, self.keep - len(examples))])

    def _wrong(
        self,
        kind: Kind,
        setting: Setting,
        prefix: Prefix,
        chosen: Piece,
        rejected: Piece,
        truncated: bool,
    ) -> Check | None:
        good, bad, allowed = chosen.text, rejected.text, self.gate.allowed
        if not good.strip() or not bad.strip():
            return Check.EMPTY
        if good == bad:
            return Check.IDENTICAL
        if (
            setting.special
            or prefix.special
            or chosen.special
            or rejected.special
            or crosses(prefix.end, good)
            or crosses(prefix.end, bad)
            or self._special.stand_in(setting.asked, prefix, good, bad)
        ) and Check.SPECIAL not in allowed:
            return Check.SPECIAL
        if self._reserved.stand_in(setting.asked, prefix, good, bad):
            return Check.RESERVED
        if (
            setting.control or prefix.control or chosen.control or rejected.control
        ) and Check.CONTROL not in allowed:
            return Check.CONTROL
        if Check.WHITESPACE not in allowed and same_but_whitespace(good, bad):
            return Check.WHITESPACE
        if truncated and Check.TRUNCATED not in allowed:
            return Check.TRUNCATED
        if (
            kind is Kind.REWRITE
            and len(good) < self.gate.min_share * len(bad)
            and Check.SHORTER not in allowed
        ):
            return Check.SHORTER
        if Check.LANGUAGE not in allowed and switched(good, bad, setting.language):
            return Check.LANGUAGE
        tokens = TURNS + setting.tokens + prefix.tokens + max(chosen.tokens, rejected.tokens)
        if tokens > self.gate.budget and Check.TOKENS not in allowed:
            return Check.TOKENS
        if Check.DUPLICATE not in allowed:
            # Only a hash of 64 bits is kept: a million pairs take 70 MB, and any two of them are
            # taken for equal with a chance of one in forty million.
            pair = hash((setting.content, prefix.length, prefix.checksums, good, bad))
            if pair in self._seen:
                return Check.DUPLICATE
            self._seen.add(pair)
        return None

    def _wrong_text(
        self, setting: Setting, prefix: Prefix, text: Piece, about: Hashable
    ) -> Check | None:
        allowed = self.gate.allowed
        if not text.text.strip():
            return Check.EMPTY
        if (
            setting.special
            or prefix.special
            or text.special
            or crosses(prefix.end, text.text)
            or self._special.stand_in(setting.asked, prefix, text.text)
        ) and Check.SPECIAL not in allowed:
            return Check.SPECIAL
        if self._reserved.stand_in(setting.asked, prefix, text.text):
            return Check.RESERVED
        if (setting.control or prefix.control or text.control) and Check.CONTROL not in allowed:
            return Check.CONTROL
        tokens = TURNS + setting.tokens + prefix.tokens + text.tokens
        if tokens > self.gate.budget and Check.TOKENS not in allowed:
            return Check.TOKENS
        if Check.DUPLICATE not in allowed:
            row = hash((setting.content, prefix.length, prefix.checksums, text.text, about))
            if row in self._seen:
                return Check.DUPLICATE
            self._seen.add(row)
        return None


class _Strings:
    """Strings that no text may hold."""

    def __init__(self, strings: tuple[str, ...]) -> None:
        self._any = re.compile("|".join(map(re.escape, strings))) if strings else None
        # One may stand across a boundary; so much of the text before it is looked at again.
        self._seam = max(map(len, strings), default=1) - 1

    def stand_in(self, asked: str, prefix: Prefix, *texts: str) -> bool:
        """Whether one stands in the instruction, or in the prefix with one of the texts behind."""
        if self._any is None:
            return False
        before = prefix.text
        end = before[-self._seam :] if self._seam else ""
        found = map(self._any.search, (asked, before, *(end + text for text in texts)))
        return any(match is not None for match in found)


def same_but_whitespace(chosen: str, rejected: str) -> bool:
    """Whether two texts are the same words."""
    # Where they part, a blank must stand on one side, or nothing but blanks follow where the other
    # one ends: for almost all pairs that is the answer.
    at = Shared.similarity(chosen, rejected)
    good, bad = chosen[at : at + 1], rejected[at : at + 1]
    if not good or not bad:
        return not (chosen[at:] + rejected[at:]).strip()
    if not good.isspace() and not bad.isspace():
        return False
    return "".join(chosen.split()) == "".join(rejected.split())


def switched(chosen: str, rejected: str, expected: str) -> bool:
    """Whether chosen is in another language than expected and rejected is not, told by script.

    Texts of few letters, numbers and formulas speak no language.
    """
    if chosen.isascii() and rejected.isascii():
        return False
    spoken = _spoken(chosen)
    return spoken is not None and spoken != expected and _spoken(rejected) == expected


def allow(names: Iterable[str]) -> frozenset[Check]:
    """The checks of these names. Raises ValueError, naming those there are, for another."""
    found = set()
    for name in names:
        try:
            found.add(Check(name))
        except ValueError:
            known = ", ".join(check for check in Check if check not in NEVER_ALLOWED)
            raise ValueError(
                Message(
                    "There is no check named %(name)s. Checks: %(known)s.",
                    name=name,
                    known=known,
                )
            ) from None
    return frozenset(found)


def _spoken(text: str) -> str | None:
    start = text[:_SPEAKING]
    return language(start) if sum(map(str.isalpha, start)) >= _WORDLESS else None
