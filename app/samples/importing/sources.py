"""Finds out what a path holds and opens it with the right reader."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.domain.messages import Message
from app.refusals import Invalid
from app.samples.importing.courses import has_courses, read_courses, utf8_text
from app.samples.importing.decks import opened_deck
from app.samples.importing.incoming import MAX_TEXT, Reading, text_error
from app.samples.importing.jsonl import jsonl_name, read_jsonl
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
    name: what the file is called where it differs from the path, as an upload does. alone: nothing
    beside the file belongs to it, so paths in it lead nowhere.
    """

    policy: str = "imported"
    instruction: str = INSTRUCTION
    output: Path | None = None
    name: str | None = None
    alone: bool = False


@contextmanager
def opened(path: Path, options: ImportOptions) -> Iterator[Reading]:
    """The samples of a folder, JSON Lines file, zip archive or PDF deck, told by its content.

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
        yield _tree_reading(folder, instruction, above=folder.root.parts[-2:])
        return
    if not path.is_file():
        raise Invalid("There is no such file or folder.")
    start = _start(path)
    if b"%PDF-" in start:
        deck = opened_deck(path, name=name, instruction=instruction, output=_output(options.output))
        with deck as sample:
            yield iter((sample,))
    elif options.output is not None:
        raise Invalid("A text file with the output belongs to a PDF deck.", "output")
    elif start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        archive = Archive(path)
        try:
            yield _tree_reading(archive, instruction, above=())
        finally:
            archive.close()
    else:
        folder = Folder(path.parent)
        images = None if options.alone else folder
        yield read_jsonl(folder, path.name, images=images, label=name)


def _tree_reading(tree: FileTree, instruction: str, *, above: tuple[str, ...]) -> Reading:
    if has_courses(tree):
        return read_courses(tree, instruction=instruction, above=above)
    name = jsonl_name(tree)
    if name is None:
        raise Invalid("It holds neither a .jsonl file nor MAJOR/COURSE/pngs with slides.")
    return read_jsonl(tree, name, images=tree)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1024)


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
