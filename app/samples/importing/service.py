"""Import of a path into a project: read, check, write, all of it or nothing."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import audit
from app.domain.messages import Message
from app.domain.rules import Choice, choose_rule
from app.domain.segments import Rule, RuleKind
from app.domain.tree import MAX_SEGMENTS
from app.images.inspection import ImageFacts
from app.images.store import ImageStore
from app.models import Policy, Project, Sample
from app.refusals import Conflict, Invalid
from app.samples.importing.failed_answers import failed_answers, is_failed_answer
from app.samples.importing.faults import Faults, ImportRefused
from app.samples.importing.incoming import IncomingSample, RowError, Where, id_error
from app.samples.importing.pictures import Pictures
from app.samples.importing.preparing import content_hash, prepared
from app.samples.importing.sources import ImportOptions, opened
from app.samples.importing.writing import NewSample, write_samples

_BATCH_SAMPLES = 200
_BATCH_CHARACTERS = 8_000_000
_BATCH_IMAGES = 200
_BATCH_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import has come. fraction: of the source, 0 to 1. seconds_left: as the time so far
    lets expect; None at first."""

    samples: int
    images: int
    fraction: float
    seconds_left: float | None = None


class ImportRunningError(Conflict):
    """Another import into the project is running: this one can be tried again when it is done."""

    def __init__(self) -> None:
        super().__init__("Another import into this project is running. Try again when it is done.")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. images: different ones that its samples show. segments: written ones.
    recut: samples that the project's rule did not divide, so that another rule did. choice: the
    rule that the project has from now on, when this import chose it. notices: what the user should
    know, a sentence each; the rule that was chosen is one."""

    added: int
    unchanged: int
    images: int
    segments: int
    recut: int
    choice: Choice | None = None
    notices: tuple[Message, ...] = ()


def import_path(
    db: Session,
    *,
    project: Project,
    path: Path,
    store: ImageStore,
    actor_id: int | None,
    options: ImportOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> ImportReport:
    """Add the samples of a folder, table, zip archive or PDF deck to a project.

    A sample whose id and content are there already is left as it is and counted as unchanged.
    Raises ImportRefused with all that is wrong, having written nothing; ImportRunningError while
    another import into the project is running.
    """
    options = options or ImportOptions()
    name = options.name or path.name
    try:
        with opened(path, options) as source:
            return import_samples(
                db,
                project=project,
                reading=source.reading,
                store=store,
                actor_id=actor_id,
                policy=options.policy,
                source=name,
                progress=progress,
            )
    except ImportRefused:
        raise
    except Invalid as error:
        raise ImportRefused(Faults([RowError(Where(name), error.field, error.message)])) from error


def import_samples(
    db: Session,
    *,
    project: Project,
    reading: Iterable[IncomingSample | RowError],
    store: ImageStore,
    actor_id: int | None,
    policy: str = "imported",
    source: str,
    progress: Callable[[Progress], None] | None = None,
) -> ImportReport:
    """Add what a reader gives to a project; as import_path, which opens the reader.

    source: what is imported, for the audit log.
    """
    if id_error(policy):
        raise Invalid("The name of the model needs 1 to 200 printable characters.", "policy")
    key = func.hashtextextended(f"iterdpo import {project.id}", 0)
    if not db.scalar(select(func.pg_try_advisory_xact_lock(key))):
        raise ImportRunningError
    if db.scalar(select(Project.archived_at).where(Project.id == project.id)) is not None:
        raise Conflict("This project is archived. Take it back into the queues, then import.")
    run = _Import(db, project, store, progress or (lambda _: None))
    try:
        with db.begin_nested():
            report = run.all(reading, policy_id=_policy_id(db, policy))
            audit.record(
                db,
                actor_id,
                "imported",
                f"project:{project.id}",
                source=source,
                added=report.added,
                unchanged=report.unchanged,
            )
    except BaseException:
        run.pictures.discard()
        raise
    return report


class _Import:
    """One import while it runs."""

    def __init__(
        self,
        db: Session,
        project: Project,
        store: ImageStore,
        progress: Callable[[Progress], None],
    ) -> None:
        self._db = db
        self._project = project
        self._choice: Choice | None = None
        self._progress = progress
        self._faults = Faults()
        self._seen: dict[str, Where] = {}
        self._unchanged = self._added = self._segments = self._recut = self._images = 0
        self._failed_answers = 0
        self._fraction = self._ahead = self._share = 0.0
        self._began = time.monotonic()
        self.pictures = Pictures(db, store, taken=self._image_taken)

    def all(self, reading: Iterable[IncomingSample | RowError], *, policy_id: int) -> ImportReport:
        """Check everything and write it batch by batch; ImportRefused when anything is wrong."""
        for batch in _batches(self._unique(reading)):
            self._ahead = batch[-1].progress
            if self._project.rule is None and self._choice is None:
                self._choice = choose_rule(sample.output for sample in batch)
            new = self._checked(batch)
            # After an error the rest is only checked, so that one look shows all that is wrong.
            if not self._faults.count:
                write_samples(self._db, new, project_id=self._project.id, policy_id=policy_id)
            self._added += len(new)
            self._segments += sum(len(sample.pieces) for sample in new)
            self._recut += sum(sample.recut for sample in new)
            self._failed_answers += sum(is_failed_answer(sample.output) for sample in batch)
            self._fraction = batch[-1].progress
            self._report_progress()
        if self._faults.count:
            raise ImportRefused(self._faults)
        if not self._seen:
            raise Invalid("There are no samples in it.")
        if self._choice is not None:
            # Last: until the import is committed, nobody else could change the project's row.
            self._project.rule = self._choice.kind
            self._db.flush()
        return ImportReport(
            self._added,
            self._unchanged,
            self.pictures.count,
            self._segments,
            self._recut,
            self._choice,
            tuple(self._notices()),
        )

    def _notices(self) -> Iterator[Message]:
        if self._choice is not None:
            yield self._choice.reason
        if self._failed_answers:
            yield failed_answers(self._failed_answers)
        if count := self.pictures.animations:
            yield Message(
                "Animated images: %(count)s. People and models are shown the first frame of each.",
                count=count,
            )

    def _unique(self, reading: Iterable[IncomingSample | RowError]) -> Iterator[IncomingSample]:
        for item in reading:
            if isinstance(item, RowError):
                self._faults.add(item)
            elif (first := self._seen.get(item.source_id)) is not None:
                message = Message(
                    "The id %(id)s is there already, at %(place)s.",
                    id=item.source_id,
                    place=first.place if first.file == item.where.file else first,
                )
                self._faults.add(RowError(item.where, "id", message))
            else:
                self._seen[item.source_id] = item.where
                yield item

    def _checked(self, batch: list[IncomingSample]) -> list[NewSample]:
        # With so many errors the images are not worth their time: their errors come next time.
        if self._faults.are_many:
            return []
        self._take_images(batch)
        there = select(Sample.source_id, Sample.content_hash).where(
            Sample.project_id == self._project.id,
            Sample.source_id.in_([sample.source_id for sample in batch]),
        )
        known = {row.source_id: row.content_hash for row in self._db.execute(there)}
        kind = self._project.rule or (self._choice.kind if self._choice else RuleKind.SLIDES)
        rule = Rule(kind, self._project.rule_words)
        new = []
        for sample in batch:
            images = self._facts(sample)
            if images is None:
                continue
            digest = content_hash(sample, images)
            if sample.source_id not in known:
                made = prepared(sample, images, rule=rule, content_hash=digest)
                if len(made.pieces) <= MAX_SEGMENTS:
                    new.append(made)
                    continue
                message = Message(
                    "It has %(count)s segments; at most %(most)s are allowed.",
                    count=f"{len(made.pieces):,}",
                    most=f"{MAX_SEGMENTS:,}",
                )
                field = "output" if sample.pieces is None else "segments"
                self._faults.add(RowError(sample.where, field, message))
            elif known[sample.source_id] == digest:
                self._unchanged += 1
            else:
                message = Message(
                    "The project has a sample %(id)s with other content. Nothing is "
                    "overwritten: give the new one another id.",
                    id=sample.source_id,
                )
                self._faults.add(RowError(sample.where, "id", message))
        return new

    def _facts(self, sample: IncomingSample) -> tuple[ImageFacts, ...] | None:
        found = [self.pictures.facts(source) for source in sample.images]
        errors = [item for item in found if isinstance(item, RowError)]
        for error in errors:
            self._faults.add(error)
        if errors:
            return None
        return tuple(item for item in found if isinstance(item, ImageFacts))

    def _take_images(self, batch: list[IncomingSample]) -> None:
        """Take the images of a batch; each is a share of the way to the batch's end."""
        sources = [source for sample in batch for source in sample.images]
        self._share = (self._ahead - self._fraction) / max(1, len(sources))
        self.pictures.take(sources)

    def _image_taken(self) -> None:
        self._images += 1
        self._fraction += self._share
        self._report_progress()

    def _report_progress(self) -> None:
        fraction = min(1.0, self._fraction)
        passed_s = time.monotonic() - self._began
        left_s = passed_s * (1 - fraction) / fraction if fraction > 0 else None
        done = self._added + self._unchanged
        self._progress(Progress(done, self._images, fraction, left_s))


def _batches(samples: Iterable[IncomingSample]) -> Iterator[list[IncomingSample]]:
    batch: list[IncomingSample] = []
    characters = images = held = 0
    for sample in samples:
        batch.append(sample)
        characters += len(sample.output)
        images += len(sample.images)
        held += sum(image.held for image in sample.images)
        if (
            len(batch) >= _BATCH_SAMPLES
            or characters >= _BATCH_CHARACTERS
            or images >= _BATCH_IMAGES
            or held >= _BATCH_BYTES
        ):
            yield batch
            batch, characters, images, held = [], 0, 0, 0
    if batch:
        yield batch


def _policy_id(db: Session, name: str) -> int:
    db.execute(insert(Policy).values(name=name, engine="import").on_conflict_do_nothing())
    return db.scalars(select(Policy.id).where(Policy.name == name)).one()
