"""The files of a folder or an archive that make up one data set, read one after another."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from app.domain.messages import Message
from app.refusals import Invalid
from app.samples.importing.detection import START, FileKind, detect
from app.samples.importing.incoming import RowError, Where
from app.samples.importing.readers.arrow import read_table
from app.samples.importing.readers.json_lines import read_json_lines
from app.samples.importing.readers.json_list import read_json_list
from app.samples.importing.records import ImageFiles, Record, Records
from app.samples.importing.trees import FileTree

_ENDINGS = {
    ".jsonl": "JSON Lines",
    ".ndjson": "JSON Lines",
    ".parquet": "Parquet",
    ".arrow": "Arrow",
    ".json": "JSON",
}
# What lies beside the data: descriptions by datasets and by LLaMA-Factory.
_DESCRIPTIONS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
_NAMES: Mapping[FileKind, Message] = {
    FileKind.JSON_LINES: Message("JSON Lines"),
    FileKind.JSON: Message("JSON"),
    FileKind.PARQUET: Message("Parquet"),
    FileKind.ARROW_STREAM: Message("Arrow, as save_to_disk writes it"),
    FileKind.ARROW_FILE: Message("Arrow"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """One file of rows. label: what errors and ids call it."""

    tree: FileTree
    name: str
    label: str
    kind: FileKind

    def records(self, images: FileTree | None) -> Records:
        """Its rows. images: where their paths are looked up."""
        files = ImageFiles(images, PurePosixPath(self.name).parent)
        if self.kind is FileKind.JSON_LINES:
            return read_json_lines(self.tree, self.name, images=files, label=self.label)
        if self.kind is FileKind.JSON:
            return read_json_list(self.tree, self.name, images=files, label=self.label)
        return read_table(self.tree, self.name, self.kind, images=files, label=self.label)


def table_of(tree: FileTree, name: str, label: str, *, inner: bool = False) -> Table:
    """A file as a table. inner: it is not what was imported but a part of that, so that a refusal
    names it. Raises Invalid for a file that is no table."""
    kind = detect(_start(tree, name), label)
    if not isinstance(kind, Message) and kind not in _NAMES:
        kind = Message("The file has another kind of content than its name says.")
    if isinstance(kind, Message):
        raise Invalid(Message("%(name)s: %(what)s", name=name, what=kind) if inner else kind)
    return Table(tree, name, label, kind)


def tables_of(tree: FileTree) -> list[Table]:
    """The files of a tree that hold rows: all of one kind, in the order of their names.

    Raises Invalid where there are files of several kinds, since nobody can say which are meant.
    """
    by_kind: dict[str, list[str]] = {}
    for name in tree.names():
        path = PurePosixPath(name)
        kind = _ENDINGS.get(path.suffix.lower())
        # datasets keeps results of its own in cache-*.arrow.
        described = path.name in _DESCRIPTIONS or path.name.startswith("cache-")
        if kind and not described:
            by_kind.setdefault(kind, []).append(name)
    # Beside other data a JSON file is its description.
    if len(by_kind) > 1:
        by_kind.pop("JSON", None)
    if len(by_kind) > 1:
        found = ", ".join(f"{kind} ({len(names)})" for kind, names in sorted(by_kind.items()))
        raise Invalid(
            Message(
                "There are files of several kinds: %(found)s. Import one kind alone.", found=found
            )
        )
    names = next(iter(by_kind.values()), [])
    if len(names) == 1:
        return [table_of(tree, names[0], PurePosixPath(names[0]).name, inner=True)]
    return [table_of(tree, name, name, inner=True) for name in names]


def read_tables(tables: list[Table], images: FileTree | None) -> Records:
    """The rows of all tables. After a table that cannot be read to its end, the next follows."""
    for index, table in enumerate(tables):
        try:
            for item in table.records(images):
                if isinstance(item, Record):
                    item = replace(item, progress=(index + item.progress) / len(tables))
                yield item
        except Invalid as error:
            yield RowError(Where(table.label), error.field, error.message)


def kind_name(tables: list[Table]) -> Message:
    """What the tables are, for people."""
    return _NAMES[tables[0].kind]


def _start(tree: FileTree, name: str) -> bytes:
    with tree.opened(name) as file:
        return file.read(START)
