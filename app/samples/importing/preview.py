"""A look at what an import would bring, before anything is written."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from app.domain.messages import Message
from app.domain.rules import choose_rule
from app.domain.segments import Rule, RuleKind
from app.domain.text import language
from app.refusals import Invalid
from app.samples.importing.failed_answers import failed_answers, is_failed_answer
from app.samples.importing.faults import Faults, ImportRefused
from app.samples.importing.incoming import IncomingSample, RowError, Where
from app.samples.importing.mapping import MAPPED, columns_of
from app.samples.importing.preparing import prepared
from app.samples.importing.sources import ImportOptions, opened

SHOWN = 3
# As many outputs as an import looks at to choose a new project's rule.
_LOOKED_AT = 200
_START = 200


@dataclass(frozen=True, slots=True)
class SamplePreview:
    """A sample as it would be cut. segments: the start of each."""

    source_id: str
    instruction: str
    system: str
    turns: int
    images: int
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a source holds. columns: of its first row, in their order; mapped: the column of each
    field, guessed or given. languages: samples by language. count, kinds: of errors (faults)."""

    kind: Message
    files: int
    samples: int
    images: int
    without_output: int
    with_context: int
    languages: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    mapped: tuple[tuple[str, str], ...]
    first: tuple[SamplePreview, ...]
    warnings: tuple[Message, ...]
    refused: ImportRefused | None


def preview(
    path: Path, options: ImportOptions, *, rule: RuleKind | None, rule_words: int
) -> Preview:
    """Read all rows, look at no image, and write nothing. rule: of the project; None where the
    import is to choose one.

    Raises ImportRefused for what is of no kind that an import reads.
    """
    name = options.name or path.name
    try:
        with opened(path, options) as source:
            seen = _Seen()
            for item in source.reading:
                seen.add(item)
            first = seen.first(rule, rule_words)
            return seen.result(source.kind, source.files, source.columns, options, first)
    except ImportRefused:
        raise
    except Invalid as error:
        fault = RowError(Where(name), error.field, error.message)
        raise ImportRefused(Faults([fault])) from error


class _Seen:
    """What has been read so far."""

    def __init__(self) -> None:
        self._faults = Faults()
        self._samples = self._images = self._without = self._context = self._strange = 0
        self._languages: Counter[str] = Counter()
        self._first: list[IncomingSample] = []
        self._outputs: list[str] = []

    def add(self, item: IncomingSample | RowError) -> None:
        if isinstance(item, RowError):
            self._faults.add(item)
            return
        self._samples += 1
        self._images += len(item.images)
        self._without += not item.output
        self._context += bool(item.context)
        self._strange += is_failed_answer(item.output)
        self._languages[language(item.output or item.instruction)] += 1
        if len(self._first) < SHOWN:
            self._first.append(item)
        if len(self._outputs) < _LOOKED_AT:
            self._outputs.append(item.output)

    def first(self, kind: RuleKind | None, words: int) -> tuple[SamplePreview, ...]:
        """The first samples as they would be cut."""
        if kind is None:
            choice = choose_rule(self._outputs)
            kind = choice.kind if choice else RuleKind.SLIDES
        rule = Rule(kind, words)
        return tuple(_shown(sample, rule) for sample in self._first)

    def result(
        self,
        kind: Message,
        files: int,
        columns: tuple[str, ...],
        options: ImportOptions,
        first: tuple[SamplePreview, ...],
    ) -> Preview:
        found = columns_of(columns, options.columns)
        mapped = ((field, found.get(field)) for field in MAPPED)
        return Preview(
            kind=kind,
            files=files,
            samples=self._samples,
            images=self._images,
            without_output=self._without,
            with_context=self._context,
            languages=tuple(self._languages.most_common()),
            columns=columns,
            mapped=tuple((field, column) for field, column in mapped if column),
            first=first,
            warnings=(failed_answers(self._strange),) if self._strange else (),
            refused=ImportRefused(self._faults) if self._faults.count else None,
        )


def _shown(sample: IncomingSample, rule: Rule) -> SamplePreview:
    cut = prepared(sample, (), rule=rule, content_hash=b"")
    return SamplePreview(
        source_id=sample.source_id,
        instruction=_start(sample.instruction),
        system=_start(sample.context.system),
        turns=len(sample.context.turns),
        images=len(sample.images),
        segments=tuple(_start(piece.text) for piece in cut.pieces),
    )


def _start(text: str) -> str:
    line = " ".join(text[: 2 * _START].split())
    return line if len(line) <= _START else f"{line[: _START - 1]}…"
