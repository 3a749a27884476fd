"""The kinds of item an export can contain, and how each is queried.

    wanted → select → ids → read → inspect → a format's rows

The pipeline is the same for all kinds; a format says which kind it exports.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from sqlalchemy.orm import Session

from app.domain.filters import FILTERS, PairFilter
from app.domain.formats import Judgement, Pair, WholeOutput
from app.domain.messages import Message
from app.domain.prefixes import EMPTY, Piece, Prefix
from app.domain.prompts import Template
from app.domain.quality import Check, Gate, Inspection
from app.exports import draft_texts, reader
from app.exports.filtering import policies
from app.exports.gate import inspect
from app.exports.judgements import judgements
from app.exports.outputs import outputs
from app.exports.reader import OpenSession, SampleFacts, read_batch, read_samples
from app.exports.selection import Selection, select_drafts, select_pairs
from app.models import Policy
from app.refusals import Invalid

# What can be asked of a text as a whole.
_OF_DRAFTS = frozenset(
    {"project", "annotator", "reviewed", "since", "until", "language", "tag"},
)


class ExportItem(Protocol):
    """An item of an export.

    key: its id, numbers with dashes between.
    item: what a format makes rows of.
    accepted: of a judgement, otherwise None.
    digest: hash of what a trainer learns from it; independent of author and format.
    """

    @property
    def key(self) -> str: ...
    @property
    def sample(self) -> SampleFacts: ...
    @property
    def item(self) -> Pair | Judgement | WholeOutput: ...
    @property
    def ends_output(self) -> bool: ...
    @property
    def policy(self) -> str | None: ...
    @property
    def accepted(self) -> bool | None: ...
    @property
    def digest(self) -> str: ...


class TextItem(NamedTuple):
    """An export item that has one text after a prefix: a judgement or a whole output.

    about: what distinguishes two rows with equal texts.
    """

    key: str
    sample: SampleFacts
    item: Judgement | WholeOutput
    prefix: Prefix
    text: Piece
    policy: str | None
    about: str

    @property
    def ends_output(self) -> bool:
        """See ExportItem."""
        return self.item.ends_output

    @property
    def accepted(self) -> bool | None:
        """See ExportItem."""
        return self.item.accepted if isinstance(self.item, Judgement) else None

    @property
    def digest(self) -> str:
        """See ExportItem."""
        before = b"%d %d %d" % (self.prefix.length, *self.prefix.checksums)
        end = b"end" if self.ends_output else b""
        parts = (before, self.sample.setting.content, self.text.json, self.about.encode(), end)
        return blake2b(b"\0".join(parts), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class ItemKind:
    """A kind of export item.

    noun, nouns: its name, singular and plural.
    title: the plural at the head of a sentence.
    held_in: the table that the ids belong to.
    filters: the filters that apply to this kind.
    comes: a sentence that says how such items come about.
    batch: how many ids are read at once.
    """

    noun: Message
    nouns: Message
    title: Message
    held_in: str
    filters: frozenset[str]
    comes: Message
    batch: int
    select: Callable[[Session, PairFilter, Sequence[int]], Selection]
    read: Callable[[Session, Sequence[int], PairFilter, Template], Sequence[ExportItem]]
    find: Callable[[Any, Inspection], Check | None]

    def refuse(self, wanted: PairFilter) -> None:
        """Raises Invalid, naming them, for filters that do not apply to this kind."""
        strange = [name for name in wanted.canonical() if name not in self.filters]
        if strange:
            known = ", ".join(name for name in FILTERS if name in self.filters)
            raise Invalid(
                Message(
                    "%(kind)s cannot be filtered by %(names)s. Available filters: %(known)s.",
                    kind=self.title,
                    names=", ".join(strange),
                    known=known,
                ),
                strange[0],
            )

    def passing(self, items: Iterable[ExportItem], inspection: Inspection) -> Iterator[ExportItem]:
        """The items that pass the gate; the others are counted by what the gate found."""
        return (item for item in items if self.find(item, inspection) is None)

    def look(
        self,
        open_session: OpenSession,
        selection: Selection,
        wanted: PairFilter,
        gate: Gate,
        on_passed: Callable[[ExportItem], None] = lambda _: None,
    ) -> Inspection:
        """Dry run: what the gate finds in a selection, without writing anything.

        on_passed: called with each item that passes.
        """
        inspection = Inspection(gate)
        inspection.count(Check.RETRACTED, *map(str, selection.taken_back))
        for ids in selection.batches(self.batch):
            with open_session() as db:
                batch = self.read(db, ids, wanted, gate.template)
            for item in self.passing(batch, inspection):
                on_passed(item)
        return inspection


def _read_pairs(
    db: Session, ids: Sequence[int], _wanted: PairFilter, template: Template
) -> Sequence[ExportItem]:
    return read_batch(db, ids, template=template)


def _read_judgements(
    db: Session, ids: Sequence[int], wanted: PairFilter, template: Template
) -> Sequence[ExportItem]:
    by: frozenset[str] | None = None
    if wanted.policy or wanted.round:
        by = frozenset(db.scalars(policies(wanted, Policy.name)))
    found = [one for one in judgements(db, ids) if _meets(one[1], wanted, by)]
    samples = read_samples(db, {draft.sample_id for draft, _ in found}, template)
    return [
        TextItem(
            judgement.judgement_id,
            samples[draft.sample_id],
            judgement,
            EMPTY.grow(Piece.of(judgement.prefix)),
            Piece.of(judgement.text),
            judgement.policy,
            "accepted" if judgement.accepted else "rejected",
        )
        for draft, judgement in found
    ]


def _meets(judgement: Judgement, wanted: PairFilter, by: frozenset[str] | None) -> bool:
    """Whether a segment meets the filter. by: names of the policies, if the filter names any."""
    day = _day(judgement)
    return (
        (by is None or judgement.policy in by)
        and (wanted.on_policy is None or judgement.on_policy is wanted.on_policy)
        and (wanted.since is None or day >= wanted.since)
        and (wanted.until is None or day <= wanted.until)
        and (wanted.min_position is None or judgement.position >= wanted.min_position)
        and (wanted.max_position is None or judgement.position <= wanted.max_position)
    )


def _day(judgement: Judgement) -> date:
    return judgement.created_at.astimezone(UTC).date()


def _read_outputs(
    db: Session, ids: Sequence[int], _wanted: PairFilter, template: Template
) -> Sequence[ExportItem]:
    found = list(outputs(db, ids))
    samples = read_samples(db, {draft.sample_id for draft, _ in found}, template)
    return [
        TextItem(
            str(output.draft_id),
            samples[draft.sample_id],
            output,
            EMPTY,
            Piece.of(output.text),
            None,
            # The rows of single segments follow from where the text is cut and what was judged.
            "".join(f"{len(one.text)} {one.verdict or ''}," for one in output.segments),
        )
        for draft, output in found
    ]


def _find(said: TextItem, inspection: Inspection) -> Check | None:
    return inspection.find_text(
        said.key,
        setting=said.sample.setting,
        prefix=said.prefix,
        text=said.text,
        about=said.about,
    )


PAIRS = ItemKind(
    Message("pair"),
    Message("pairs"),
    Message("Pairs"),
    "corrections",
    frozenset(FILTERS),
    Message("Each correction that an annotator saves becomes a pair."),
    reader.BATCH,
    select_pairs,
    _read_pairs,
    inspect,
)
JUDGEMENTS = ItemKind(
    Message("judgement"),
    Message("judgements"),
    Message("Judgements"),
    "drafts",
    _OF_DRAFTS | {"policy", "round", "on_policy", "min_position", "max_position"},
    Message("Each model segment that an annotator accepts or deletes becomes a judgement."),
    draft_texts.BATCH,
    lambda db, wanted, projects: select_drafts(db, wanted, projects, finished=False),
    _read_judgements,
    _find,
)
OUTPUTS = ItemKind(
    Message("output"),
    Message("outputs"),
    Message("Outputs"),
    "drafts",
    _OF_DRAFTS,
    Message("Each sample that an annotator finishes becomes an output."),
    draft_texts.BATCH,
    lambda db, wanted, projects: select_drafts(db, wanted, projects, finished=True),
    _read_outputs,
    _find,
)
KINDS = {Pair: PAIRS, Judgement: JUDGEMENTS, WholeOutput: OUTPUTS}
