"""Which column of a file is which field of a sample: as the user says, else guessed by its name."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app.domain.messages import Message
from app.refusals import Invalid

# By field: the names that it is known by, the best first. Our own name is always the first.
NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "id": ("id", "sample_id", "question_id", "uid"),
        "title": ("title",),
        "system": ("system", "system_prompt"),
        "messages": ("messages", "conversations", "conversation", "dialogue", "chat"),
        "instruction": ("instruction", "question", "prompt", "query"),
        "input": ("input",),
        "history": ("history",),
        "output": ("output", "response", "answer", "completion", "chosen"),
        "images": ("images", "image"),
        "length": ("length", "L", "target_words", "required_length"),
        "segments": ("segments",),
        "metadata": ("metadata",),
    }
)
# What the field is called elsewhere in the product.
_ALSO = {"target_words": "length"}
# The fields that a user may give a column for, in the order in which they are offered.
MAPPED = ("instruction", "messages", "system", "output", "images", "length", "id", "title")


@dataclass(frozen=True, slots=True)
class Columns:
    """The column of each field that the file has."""

    by_field: Mapping[str, str]

    def get(self, field: str) -> str | None:
        """The column of a field; None if the file has none."""
        return self.by_field.get(field)

    @property
    def used(self) -> Collection[str]:
        """The columns that are fields; the others become metadata."""
        return set(self.by_field.values())


def parse_map(given: Iterable[str]) -> dict[str, str]:
    """FIELD=COLUMN, as the command line has it, by field. Raises Invalid."""
    found: dict[str, str] = {}
    for word in given:
        field, equals, column = word.partition("=")
        field = _ALSO.get(field.strip(), field.strip())
        if not equals or not column:
            raise Invalid(
                Message("%(word)s is not FIELD=COLUMN, as in length=L.", word=repr(word)), "map"
            )
        if field not in NAMES:
            raise Invalid(
                Message(
                    "There is no field %(field)s. Fields: %(fields)s.",
                    field=field,
                    fields=", ".join(NAMES),
                ),
                "map",
            )
        if found.setdefault(field, column) != column:
            raise Invalid(Message("The field %(field)s is given two columns.", field=field), "map")
    return found


def columns_of(names: Collection[str], given: Mapping[str, str]) -> Columns:
    """The columns of a row with these names. given: by field, as the user mapped them."""
    taken = set(given.values())
    found = {field: column for field, column in given.items() if column in names}
    for field, known in NAMES.items():
        if field in given:
            continue
        column = next((name for name in known if name in names and name not in taken), None)
        if column is not None:
            found[field] = column
            taken.add(column)
    return Columns(found)


def missing(names: Collection[str], given: Mapping[str, str]) -> tuple[str, Message] | None:
    """The field that keeps a row with these columns from being a sample, why, and what to do; None
    if it may be one."""
    for field, column in given.items():
        if column not in names:
            return field, Message(
                "There is no column %(column)s. The row has: %(columns)s.",
                column=column,
                columns=_listed(names),
            )
    found = columns_of(names, given)
    if found.get("instruction") or found.get("messages") or found.get("output") in _WHOLE:
        return None
    return "instruction", Message(
        "This field is missing, and no other column says what was asked. The row has: "
        "%(columns)s. Name the column: --map instruction=COLUMN.",
        columns=_listed(names),
    )


# Where these are messages, they begin with what was asked.
_WHOLE = ("chosen",)


def _listed(names: Collection[str]) -> str:
    return ", ".join(name[:60] for name in list(names)[:30]) or "-"
