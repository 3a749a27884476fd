"""Finds out what a path holds and opens it with the right reader."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from app.domain.messages import Message
from app.refusals import Invalid
from app.samples.importing.courses import has_courses, read_courses, utf8_text
from app.samples.importing.decks import opened_deck
from app.samples.importing.detection import START, FileKind, detect, office_document
from app.samples.importing.incoming import MAX_TEXT, Reading, text_error
from app.samples.importing.records import Record
from app.samples.importing.rows import read_samples
from app.samples.importing.tables import Table, kind_name, read_tables, table_of, tables_of
from app.samples.importing.trees import Archive, FileTree, Folder

INSTRUCTION = (
    "Write a lecture script for these slides, slide by slide, that a teacher can read aloud in "
    "class. Explain what is on each slide and lead over to the next one."
)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the files do not say.

    policy: the name of the model that wrote the outputs. instruction: of samples whose files hold
    none (folders of slides and PDF decks). output: a UTF-8 text file with the output of a PDF deck.
    columns: by field, where the columns of a table have other names (importing.mapping). name: what
    the file is called where it differs from the path, as an upload does. alone: nothing beside the
    file belongs to it, so paths in it lead nowhere.
    """

    policy: str = "imported"
    instruction: str = INSTRUCTION
    output: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """What a path holds. kind: for people. columns: of the first row; none where it is no table."""

    kind: Message
    reading: Reading
    columns: tuple[str, ...] = ()
    files: int = 1


@contextmanager
def opened(path: Path, options: ImportOptions) -> Iterator[Source]:
    """The samples of a folder, table, zip archive or PDF deck, told by its content.

    Raises Invalid, with a sentence for the user, when it is none of these.
    """
    name = options.name or path.name
    instruction = options.instruction
    if not instruction.strip():
        raise Invalid("An instruction is needed.", "instruction")
    if message := text_error(instruction):
        raise Invalid(message, "instruction")
    if path.is_dir():
        folder = Folder(path)
        yield _tree_source(folder, options, above=folder.root.parts[-2:])
        return
    if not path.is_file():
        raise Invalid("There is no such file or folder.")
    kind = detect(_start(path), name)
    if kind is FileKind.ZIP and (document := office_document(path)):
        kind = document
    if isinstance(kind, Message):
        raise Invalid(kind)
    if kind is FileKind.PDF:
        output = _output(options.output)
        with opened_deck(path, name=name, instruction=instruction, output=output) as sample:
            yield Source(Message("PDF deck"), iter((sample,)))
        return
    if options.output is not None:
        raise Invalid("A text file with the output belongs to a PDF deck.", "output")
    if kind is FileKind.ZIP:
        archive = Archive(path)
        try:
            yield _tree_source(archive, options, above=())
        finally:
            archive.close()
    else:
        folder = Folder(path.parent)
        table = table_of(folder, path.name, name)
        yield _table_source([table], None if options.alone else folder, options)


def _tree_source(tree: FileTree, options: ImportOptions, *, above: tuple[str, ...]) -> Source:
    if has_courses(tree):
        reading = read_courses(tree, instruction=options.instruction, above=above)
        return Source(Message("Folders of slides and scripts"), reading)
    tables = tables_of(tree)
    if not tables:
        raise Invalid(
            "It holds no data file (.jsonl, .json, .parquet, .arrow) and no MAJOR/COURSE/pngs with "
            "slides."
        )
    return _table_source(tables, tree, options)


def _table_source(tables: list[Table], images: FileTree | None, options: ImportOptions) -> Source:
    records = read_tables(tables, images)
    first = next(records, None)
    columns = tuple(first.values) if isinstance(first, Record) else ()
    records = chain(() if first is None else (first,), records)
    reading = read_samples(records, options.columns)
    return Source(kind_name(tables), reading, columns, len(tables))


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(START)


def _output(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        if path.stat().st_size > 4 * MAX_TEXT:
            raise Invalid("The text file is too large.", "output")
        text = utf8_text(path.read_bytes())
    except OSError as error:
        raise Invalid(
            Message("The text file cannot be read: %(reason)s.", reason=error.strerror), "output"
        ) from None
    except Invalid as error:
        raise Invalid(error.message, "output") from None
    if message := text_error(text):
        raise Invalid(message, "output")
    return text
