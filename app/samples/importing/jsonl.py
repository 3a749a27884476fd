"""Reads JSON Lines: one sample a line, as our own fields or as messages of a chat."""

from pathlib import PurePosixPath

from app.domain.messages import Message
from app.refusals import Invalid
from app.samples.importing.incoming import Reading, RowError, Where
from app.samples.importing.rows import FieldError, read_row
from app.samples.importing.trees import FileTree

MAX_LINE = 64 * 2**20
_BOM = b"\xef\xbb\xbf"


def read_jsonl(
    tree: FileTree, name: str, *, images: FileTree | None, label: str | None = None
) -> Reading:
    """The samples of a JSON Lines file, or an error for each line that holds none.

    A line is {"id", "instruction", "images", "output"?, "segments"?, "length"?, "title"?,
    "metadata"?} or {"messages": [user, assistant], "images", "id"?, …}; other fields become
    metadata. images: where their paths are looked up, relative to the file; None if only the file
    itself is here. label: what the file is called where that is not its name. An id that is missing
    becomes <file>:<line>.
    """
    size = max(1, tree.size(name))
    read = 0
    label = label or PurePosixPath(name).name
    for number, line in enumerate(tree.lines(name, MAX_LINE + 1), start=1):
        where = Where(label, number)
        read += len(line)
        if len(line) > MAX_LINE:
            yield RowError(
                where, None, Message("The line has more than %(most)s MiB.", most=MAX_LINE // 2**20)
            )
            return
        if number == 1:
            line = line.removeprefix(_BOM)
        if not line.strip():
            continue
        try:
            progress = min(1.0, read / size)
            yield read_row(line, where=where, name=name, images=images, progress=progress)
        except FieldError as error:
            yield RowError(where, error.field, error.message)


def jsonl_name(tree: FileTree) -> str | None:
    """The one JSON Lines file of a tree; None if there is none, Invalid if there are several."""
    found = [name for name in tree.names() if name.lower().endswith((".jsonl", ".ndjson"))]
    if len(found) > 1:
        raise Invalid(
            Message(
                "One JSON Lines file is needed, and here are %(count)s: %(name)s, …",
                count=len(found),
                name=found[0],
            )
        )
    return found[0] if found else None
