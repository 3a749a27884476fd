"""The gate in front of every export: what is wrong with a pair, found by checks with names.

A check never mends and never drops: it finds. Whoever writes pairs leaves out what was found, and
counts it by the name of the check; a check that is allowed finds nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from app.domain.corrections import Kind
from app.domain.prefixes import Prefix, escaped, has_control, has_special
from app.domain.prompts import Template
from app.domain.text import language
from app.domain.tokencount import TURNS, VISION, text_tokens

# A language is told from so much of a text, and from no less than so much.
_SPEAKING = 400
_WORDLESS = 20
# What str.split() takes for whitespace in ASCII.
_BLANKS = b"\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f "


class Check(StrEnum):
    """What a pair is looked at for, in this order; the first that finds something counts."""

    RETRACTED = "retracted"
    EMPTY = "empty"
    IDENTICAL = "identical"
    SPECIAL = "special"
    CONTROL = "control"
    WHITESPACE = "whitespace"
    TRUNCATED = "truncated"
    SHORTER = "shorter"
    LANGUAGE = "language"
    TOKENS = "tokens"
    DUPLICATE = "duplicate"


# What each finds, for people: (title, sentence).
CHECKS: Mapping[Check, tuple[str, str]] = MappingProxyType(
    {
        Check.RETRACTED: (
            "Taken back",
            "The annotator or an admin took the correction back. Such pairs never leave.",
        ),
        Check.EMPTY: (
            "One side is empty",
            "A side holds no text but blanks. A trainer takes it silently and learns nothing.",
        ),
        Check.IDENTICAL: ("Identical", "Chosen and rejected are the same text."),
        Check.SPECIAL: (
            "Special strings",
            "A text holds a string such as <|im_end|>, which the models read as a command.",
        ),
        Check.CONTROL: (
            "Control characters",
            "A text holds a control character other than tab and newlines.",
        ),
        Check.WHITESPACE: (
            "Only whitespace differs",
            "The two sides differ in blanks and newlines alone.",
        ),
        Check.TRUNCATED: (
            "Truncated generation",
            "The rejected side is where a generation was stopped, failed or met its length limit: "
            "that it breaks off is not the model's choice.",
        ),
        Check.SHORTER: (
            "Chosen is much shorter",
            "The rewritten side has less than a set share of the rejected side's characters.",
        ),
        Check.LANGUAGE: (
            "Language switched",
            "The chosen side is in another language than the sample, and the rejected side is not.",
        ),
        Check.TOKENS: (
            "Token budget exceeded",
            "Prompt, images and the longer side take more tokens than set, by estimate.",
        ),
        Check.DUPLICATE: (
            "Duplicate",
            "Another pair has the same images, instruction, prefix, chosen and rejected text; the "
            "first one stays.",
        ),
    }
)

# A trainer cannot use these, whatever is asked for.
NEVER_ALLOWED = frozenset({Check.RETRACTED, Check.EMPTY, Check.IDENTICAL})
MIN_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Gate:
    """What is checked. allowed: checks that let everything pass. min_share: of characters that
    chosen must have of rejected, 0 to 1. max_tokens: of a whole row; 0: what the model reads.

    Raises ValueError for a check that cannot be allowed and for a parameter out of range.
    """

    template: Template = Template.QWEN2_5_VL
    allowed: frozenset[Check] = frozenset()
    min_share: float = MIN_SHARE
    max_tokens: int = 0

    def __post_init__(self) -> None:
        if fixed := self.allowed & NEVER_ALLOWED:
            names = ", ".join(sorted(fixed))
            raise ValueError(f"What the check {names} finds never leaves: a trainer has no use.")
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
    instruction, tokens: of both, estimated; special, control: found in the instruction."""

    language: str
    content: bytes
    tokens: float
    special: bool
    control: bool


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a pair, and how each is written as JSON without quotes."""

    chosen: str
    rejected: str
    chosen_json: bytes
    rejected_json: bytes

    @classmethod
    def of(cls, chosen: str, rejected: str) -> "Sides":
        """With the JSON made here."""
        return cls(chosen, rejected, escaped(chosen), escaped(rejected))


@dataclass(slots=True)
class Inspection:
    """A gate at work on one export: it remembers what it has let pass, to know duplicates.

    found: how many pairs each check has found. examples: the ids of the first of them. passed: how
    many pairs got through.
    """

    gate: Gate
    keep: int = 100
    passed: int = 0
    found: dict[Check, int] = field(default_factory=dict)
    examples: dict[Check, list[int]] = field(default_factory=dict)
    _seen: set[bytes] = field(default_factory=set)

    def next(self) -> "Inspection":
        """One for what is written beside this: it counts anew and knows the same pairs."""
        return Inspection(self.gate, self.keep, _seen=self._seen)

    def find(
        self,
        pair_id: int,
        *,
        kind: Kind,
        setting: Setting,
        prefix: Prefix,
        sides: Sides,
        truncated: bool,
    ) -> Check | None:
        """The first check that finds something in a pair, counted; None lets it pass.

        truncated: the rejected side is where a generation broke off.
        """
        check = self._wrong(kind, setting, prefix, sides, truncated)
        if check is None:
            self.passed += 1
        else:
            self.count(check, pair_id)
        return check

    def count(self, check: Check, *pair_ids: int) -> None:
        """Note what a check has found, wherever it was found."""
        self.found[check] = self.found.get(check, 0) + len(pair_ids)
        examples = self.examples.setdefault(check, [])
        examples.extend(pair_ids[: max(0, self.keep - len(examples))])

    def _wrong(
        self, kind: Kind, setting: Setting, prefix: Prefix, sides: Sides, truncated: bool
    ) -> Check | None:
        chosen, rejected, allowed = sides.chosen, sides.rejected, self.gate.allowed
        if not chosen.strip() or not rejected.strip():
            return Check.EMPTY
        if chosen == rejected:
            return Check.IDENTICAL
        if (
            setting.special
            or prefix.special
            or has_special(prefix.end, chosen)
            or has_special(prefix.end, rejected)
        ) and Check.SPECIAL not in allowed:
            return Check.SPECIAL
        if (
            setting.control
            or prefix.control
            or has_control(chosen, sides.chosen_json)
            or has_control(rejected, sides.rejected_json)
        ) and Check.CONTROL not in allowed:
            return Check.CONTROL
        if same_but_whitespace(chosen, rejected) and Check.WHITESPACE not in allowed:
            return Check.WHITESPACE
        if truncated and Check.TRUNCATED not in allowed:
            return Check.TRUNCATED
        if (
            kind is Kind.REWRITE
            and len(chosen) < self.gate.min_share * len(rejected)
            and Check.SHORTER not in allowed
        ):
            return Check.SHORTER
        if switched(chosen, rejected, setting.language) and Check.LANGUAGE not in allowed:
            return Check.LANGUAGE
        if Check.TOKENS not in allowed and self._tokens(setting, prefix, sides) > self.gate.budget:
            return Check.TOKENS
        if Check.DUPLICATE not in allowed and self._is_known(setting, prefix, sides):
            return Check.DUPLICATE
        return None

    def _tokens(self, setting: Setting, prefix: Prefix, sides: Sides) -> float:
        longer = max(text_tokens(sides.chosen), text_tokens(sides.rejected))
        return TURNS + setting.tokens + prefix.tokens + longer

    def _is_known(self, setting: Setting, prefix: Prefix, sides: Sides) -> bool:
        content = prefix.content.copy()
        # No stored text holds a NUL, so the parts cannot be taken for one another.
        content.update(b"\0".join((b"", setting.content, sides.chosen_json, sides.rejected_json)))
        digest = content.digest()
        if digest in self._seen:
            return True
        self._seen.add(digest)
        return False


def same_but_whitespace(chosen: str, rejected: str) -> bool:
    """Whether two texts are the same words."""
    if chosen.isascii() and rejected.isascii():
        # As bytes this takes a fifth of the time.
        before = rejected.encode().translate(None, _BLANKS)
        return chosen.encode().translate(None, _BLANKS) == before
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
            raise ValueError(f"There is no check named {name}. There are: {known}.") from None
    return frozenset(found)


def _spoken(text: str) -> str | None:
    start = text[:_SPEAKING]
    return language(start) if sum(map(str.isalpha, start)) >= _WORDLESS else None
