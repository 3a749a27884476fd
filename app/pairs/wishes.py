"""A filter as a page and a form carry it: in the address, field by field, with what there is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlalchemy import text
from sqlalchemy.orm import Session
from starlette.datastructures import FormData, QueryParams

from app.domain.corrections import Kind
from app.domain.filters import FILTERS, FilterError, PairFilter, parse
from app.refusals import Invalid

# What the page's project says already.
_OFFERED = frozenset(FILTERS) - {"project"}

_CHOICES = text(
    """
    SELECT
        ARRAY(SELECT name FROM policies ORDER BY id DESC LIMIT 200),
        ARRAY(SELECT DISTINCT round FROM policies ORDER BY round LIMIT 200),
        ARRAY(SELECT u.name FROM users u WHERE EXISTS (
            SELECT FROM drafts d JOIN samples s ON s.id = d.sample_id
            WHERE d.user_id = u.id AND s.project_id = :project) ORDER BY u.name LIMIT 500),
        ARRAY(SELECT DISTINCT language FROM samples WHERE project_id = :project ORDER BY 1)
    """
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a form offers to choose from."""

    policy: list[str]
    round: list[int]
    annotator: list[str]
    language: list[str]
    kind: tuple[str, ...] = tuple(kind.value for kind in Kind)


@dataclass(frozen=True, slots=True)
class Wish:
    """A filter with its address. query: "" without any filter, else "?…"."""

    filter: PairFilter

    @property
    def query(self) -> str:
        """The filter as the end of an address."""
        words = self.filter.words()
        return f"?{urlencode(words)}" if words else ""

    @property
    def words(self) -> list[tuple[str, str]]:
        """Names and values, as a form's hidden fields carry them."""
        return self.filter.words()

    def has(self, name: str, value: object) -> bool:
        """Whether that value is asked for."""
        return (name, str(value)) in self.words

    def value(self, name: str) -> str:
        """What a field shows; "" when it is not asked for."""
        return ", ".join(value for known, value in self.words if known == name)


def wish(given: QueryParams | FormData | Iterable[tuple[str, str]]) -> Wish:
    """The filter among what an address or a form holds; other names are left alone.

    Raises Invalid, naming the field.
    """
    items = given.multi_items() if isinstance(given, QueryParams | FormData) else given
    try:
        return Wish(parse((name, str(value)) for name, value in items if name in _OFFERED))
    except FilterError as error:
        raise Invalid(f"{error.field}: {error.message}", error.field) from error


def choices(db: Session, *, project_id: int) -> Choices:
    """What there is to filter by in a project."""
    row = db.execute(_CHOICES, {"project": project_id}).one()
    return Choices(list(row[0]), list(row[1]), list(row[2]), list(row[3]))


def meanings() -> Mapping[str, str]:
    """A sentence for each filter."""
    return FILTERS
