"""Which pairs are wanted: one set of filters for files, pages, the API and snapshots."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from types import MappingProxyType

from app.domain.corrections import Kind
from app.domain.messages import Message

MAX_VALUES = 100
_MAX_TEXT = 200
_MAX_NUMBER = 2**31 - 1
_YES, _NO = frozenset({"true", "yes", "1", "on"}), frozenset({"false", "no", "0", "off"})


class FilterError(ValueError):
    """A filter that cannot be used. field: its name, as in an address."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = Message.of(message)


@dataclass(frozen=True, slots=True)
class PairFilter:
    """Pairs that meet every filter that is set; of several values in one, any will do.

    project, policy, annotator, language: names. round: of the policy. reviewed: the annotator has
    finished the sample. since, until: the days (UTC, both included) on which the correction was
    made. position: 0-based, in segments. edit: how many characters were inserted and deleted
    (distances.edited). tag: one of the sample's tags. newest_only: of the pairs that reject the
    same segment in the same way, the newest. limit_per_sample: the newest so many of each sample,
    counted after everything else.
    """

    project: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()
    round: tuple[int, ...] = ()
    annotator: tuple[str, ...] = ()
    kind: tuple[Kind, ...] = ()
    on_policy: bool | None = None
    reviewed: bool | None = None
    since: date | None = None
    until: date | None = None
    min_position: int | None = None
    max_position: int | None = None
    min_edit: int | None = None
    max_edit: int | None = None
    language: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    newest_only: bool = False
    limit_per_sample: int | None = None

    def __post_init__(self) -> None:
        # One order of values: the same wish is the same filter, however it was typed.
        for name in MANY:
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        for low, high in (
            ("since", "until"),
            ("min_position", "max_position"),
            ("min_edit", "max_edit"),
        ):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                raise FilterError(
                    high,
                    Message("It must be at least %(low)s, or no pair can match both.", low=low),
                )

    def canonical(self) -> dict[str, object]:
        """What is set, as JSON values by name in alphabetical order: for manifests and hashes."""
        # By identity: 0 and False are equal, and a limit of 0 is a limit.
        given = {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != ()
            and value is not None
            and not (field.name == "newest_only" and value is False)
        }
        return {name: _plain(given[name]) for name in sorted(given)}

    def words(self) -> list[tuple[str, str]]:
        """The filter as parse() reads it: the pairs of an address's query."""
        return spelled(self.canonical())


def parse(words: Iterable[tuple[str, str]]) -> PairFilter:
    """The filter that these names and values spell, as in an address; "" counts as not given.

    Raises FilterError for a name that is no filter and for a value that it cannot take.
    """
    given: dict[str, list[str]] = {}
    for name, value in words:
        if name not in FILTERS:
            raise FilterError(
                name,
                Message("There is no such filter. Filters: %(names)s.", names=", ".join(FILTERS)),
            )
        if value != "":
            given.setdefault(name, []).append(value)
    values: dict[str, object] = {}
    for name, texts in given.items():
        read = _READERS[name]
        if name in MANY:
            if len(texts) > MAX_VALUES:
                raise FilterError(
                    name, Message("At most %(most)s values are allowed.", most=MAX_VALUES)
                )
            values[name] = tuple(read(name, text) for text in texts)
        elif len(set(texts)) > 1:
            raise FilterError(name, "It can be given only once.")
        else:
            values[name] = read(name, texts[0])
    return PairFilter(**values)  # type: ignore[arg-type] # each reader gives its field's type


def parse_given(words: Iterable[tuple[str, str]]) -> PairFilter:
    """The same where "" is no empty field of a form: a filter that was named must have a value.

    A variable of a script that was never set must not give all pairs.
    """
    given = list(words)
    for name, value in given:
        if name in FILTERS and value == "":
            raise FilterError(
                name, "The value is missing. Leave the filter out to include everything."
            )
    return parse(given)


def from_canonical(values: Mapping[str, object]) -> PairFilter:
    """The filter of a canonical form, such as a manifest keeps."""
    return parse(spelled(values))


def spelled(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Values by filter as parse() reads them: of a list, each by itself."""
    return [
        (name, str(one).lower() if isinstance(one, bool) else str(one))
        for name, value in values.items()
        for one in (value if isinstance(value, list) else [value])
    ]


def _text(name: str, text: str) -> str:
    if len(text) > _MAX_TEXT or "\0" in text:
        raise FilterError(
            name, Message("It must be a text of at most %(most)s characters.", most=_MAX_TEXT)
        )
    return text


def _language(name: str, text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", text):
        raise FilterError(name, "It must be a language code such as en or zh.")
    return text.lower()


def _kind(name: str, text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError:
        raise FilterError(
            name, Message("It must be one of %(names)s.", names=", ".join(Kind))
        ) from None


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _MAX_NUMBER:
        raise FilterError(
            name, Message("It must be a whole number from 0 to %(most)s.", most=f"{_MAX_NUMBER:,}")
        )
    return int(text)


def _count(name: str, text: str) -> int:
    number = _number(name, text)
    if number == 0:
        raise FilterError(name, "It must be at least 1.")
    return number


def _truth(name: str, text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise FilterError(name, "It must be true or false.")
    return text.lower() in _YES


def _day(name: str, text: str) -> date:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise FilterError(name, "It must be a day such as 2026-11-25.")


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


_READERS: Mapping[str, Callable[[str, str], object]] = {
    "project": _text,
    "policy": _text,
    "round": _number,
    "annotator": _text,
    "kind": _kind,
    "on_policy": _truth,
    "reviewed": _truth,
    "since": _day,
    "until": _day,
    "min_position": _number,
    "max_position": _number,
    "min_edit": _number,
    "max_edit": _number,
    "language": _language,
    "tag": _text,
    "newest_only": _truth,
    "limit_per_sample": _count,
}
# Filters that take several values.
MANY = frozenset({"project", "policy", "round", "annotator", "kind", "language", "tag"})

# Every filter with a sentence of what it asks for, for help texts and the API's description.
FILTERS: Mapping[str, str] = MappingProxyType(
    {
        "project": "Project name.",
        "policy": "Name of the policy that wrote the rejected side.",
        "round": "Round of the policy that wrote the rejected side.",
        "annotator": "Account name of the annotator.",
        "kind": f"Kind of the correction: {', '.join(Kind)}.",
        "on_policy": "Whether one model wrote the whole rejected side, after exactly this prefix.",
        "reviewed": "Whether the annotator has finished the sample.",
        "since": "Pairs made on this day or later (UTC).",
        "until": "Pairs made on this day or earlier (UTC).",
        "min_position": "Minimum position of the segment in the output, counted from 0.",
        "max_position": "Maximum position of the segment in the output, counted from 0.",
        "min_edit": "Minimum number of characters inserted and deleted.",
        "max_edit": "Maximum number of characters inserted and deleted.",
        "language": "The sample's language, such as en or zh.",
        "tag": "Tag of the sample.",
        "newest_only": "Of several pairs with the same kind and rejected segment, only the newest.",
        "limit_per_sample": "Maximum pairs per sample. The newest are kept.",
    }
)
