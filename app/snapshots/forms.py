"""The form for a new snapshot: rendering and parsing."""

from dataclasses import dataclass, field
from urllib.parse import urlencode

from starlette.datastructures import FormData, QueryParams

from app.domain.filters import FILTERS, FilterError, PairFilter, parse
from app.domain.messages import Message
from app.domain.prompts import Template
from app.domain.quality import CHECKS, MIN_SHARE, NEVER_ALLOWED, Check, Gate
from app.domain.splits import SplitPlan
from app.exports.formats import FORMATS
from app.exports.parameters import gate_of
from app.refusals import Invalid

# Checks that a form offers to switch off.
ALLOWABLE = tuple(check for check in Check if check not in NEVER_ALLOWED)


@dataclass(frozen=True, slots=True)
class SnapshotForm:
    """What was typed, as text, and the errors by field. words: of the filter."""

    words: tuple[tuple[str, str], ...] = ()
    name: str = ""
    format: str = "trl"
    template: str = Template.QWEN2_5_VL.value
    allow: tuple[str, ...] = ()
    min_share: str = str(MIN_SHARE)
    max_tokens: str = ""
    validation: str = ""
    test: str = ""
    separate_images: bool = False
    seed: str = "0"
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def wanted(self) -> PairFilter:
        """The filter that was asked for. Raises Invalid, naming the field."""
        try:
            return parse(self.words)
        except FilterError as error:
            raise Invalid(error.message, error.field) from error

    @property
    def query(self) -> str:
        """The filter as the end of an address: "" without any, else "?…"."""
        words = self.wanted.words()
        return f"?{urlencode(words)}" if words else ""

    @property
    def gate_query(self) -> str:
        """Filter and gate, as the page of the gate reads them."""
        words = [*self.wanted.words(), ("template", self.template)]
        words += [("allow", check) for check in self.allow]
        words += [
            (name, value)
            for name, value in (("min_share", self.min_share), ("max_tokens", self.max_tokens))
            if value
        ]
        return f"?{urlencode(words)}"

    @property
    def gate(self) -> Gate:
        """The gate that was asked for. Raises Invalid, naming the field."""
        try:
            template = Template(self.template)
        except ValueError as error:
            raise Invalid("There is no such chat template.", "template") from error
        return gate_of(
            template,
            self.allow,
            _decimal(self.min_share, "min_share", 0.0),
            _whole(self.max_tokens, "max_tokens"),
        )

    @property
    def plan(self) -> SplitPlan:
        """The splits that were asked for. Raises Invalid, naming the field."""
        try:
            return SplitPlan(
                validation=_percent(self.validation, "validation"),
                test=_percent(self.test, "test"),
                separate_images=self.separate_images,
                seed=_whole(self.seed, "seed"),
            )
        except ValueError as error:
            raise Invalid(Message.of(error), "split") from error


def snapshot_form(sent: QueryParams | FormData) -> SnapshotForm:
    """The form that a request carries. The page says which project, so no filter does."""

    def one(name: str, otherwise: str) -> str:
        return str(sent.get(name, otherwise)).strip()

    return SnapshotForm(
        words=tuple(
            (name, str(value).strip())
            for name, value in sent.multi_items()
            if name in FILTERS and name != "project" and str(value).strip()
        ),
        name=one("name", ""),
        format=one("format", "trl"),
        template=one("template", Template.QWEN2_5_VL.value),
        allow=tuple(str(check) for check in sent.getlist("allow")),
        min_share=one("min_share", str(MIN_SHARE)),
        max_tokens=one("max_tokens", ""),
        validation=one("validation", ""),
        test=one("test", ""),
        separate_images=bool(sent.get("separate_images")),
        seed=one("seed", "0"),
    )


def offered() -> dict[str, object]:
    """What the form offers to choose from."""
    return {
        "formats": list(FORMATS.values()),
        "templates": list(Template),
        "allowable": [(check, *CHECKS[check]) for check in ALLOWABLE],
    }


def _whole(typed: str, name: str) -> int:
    if not typed:
        return 0
    if not (typed.isascii() and typed.isdecimal()) or len(typed) > 19:
        raise Invalid("It must be a whole number.", name)
    return int(typed)


def _decimal(typed: str, name: str, otherwise: float) -> float:
    try:
        return float(typed) if typed else otherwise
    except ValueError as error:
        raise Invalid("It must be a number.", name) from error


def _percent(typed: str, name: str) -> float:
    return round(_decimal(typed, name, 0.0) / 100, 6)
