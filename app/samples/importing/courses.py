"""Reads the folders of the LongWriter-V annotation app: a course is a sample, a slide a segment."""

import re
from collections import defaultdict
from pathlib import PurePosixPath

from app.domain.messages import Message
from app.refusals import Invalid
from app.samples.importing.incoming import (
    GivenPiece,
    ImageSource,
    IncomingSample,
    Reading,
    RowError,
    Where,
    id_error,
    text_error,
)
from app.samples.importing.trees import FileTree

# Numbered so that a script and its slide meet; leading zeros are as good as none.
_NUMBER = re.compile(r"[0-9]{1,6}")
_IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"}
_MAX_SCRIPT = 8 * 2**20


def has_courses(tree: FileTree) -> bool:
    """Whether a tree holds MAJOR/COURSE/pngs."""
    return any(PurePosixPath(name).parent.name == "pngs" for name in tree.names())


def read_courses(tree: FileTree, *, instruction: str, above: tuple[str, ...] = ()) -> Reading:
    """A sample for each folder MAJOR/COURSE with pngs/N.png and scripts/N.txt, in numeric order.

    A script is one segment and speaks of the image of its number. The output is the scripts as
    they are; where one does not end in a newline, a blank line is put between it and the next. An
    empty script gives no segment. A course without any script is a sample without an output.
    above: names of the folders above the root, for the ids when the root is a course itself.
    """
    courses: defaultdict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for name in tree.names():
        path = PurePosixPath(name)
        if path.parent.name in ("pngs", "scripts"):
            courses[path.parent.parent].append(path)
    for number, (course, files) in enumerate(sorted(courses.items()), start=1):
        yield from _course(tree, course, files, instruction, above, number / len(courses))


def _course(
    tree: FileTree,
    course: PurePosixPath,
    files: list[PurePosixPath],
    instruction: str,
    above: tuple[str, ...],
    progress: float,
) -> Reading:
    parts = [*above, *(part for part in course.parts if part != ".")]
    source_id = "/".join(parts[-2:])
    here = Where(source_id or ".")
    errors: list[RowError] = []
    if message := id_error(source_id):
        errors.append(RowError(here, None, message))
    images = _numbered([file for file in files if file.parent.name == "pngs"], _IMAGES, errors)
    scripts = _numbered([file for file in files if file.parent.name == "scripts"], {".txt"}, errors)
    if not images:
        errors.append(RowError(here, "pngs", "The course has no slides."))
    errors += [
        RowError(
            Where(str(scripts[number])),
            None,
            Message("Slide %(number)s is missing.", number=number),
        )
        for number in sorted(scripts.keys() - images.keys())
    ]
    errors += [
        RowError(Where(str(images[number])), None, "The script of this slide is missing.")
        for number in sorted(images.keys() - scripts.keys() if scripts else ())
    ]
    texts = {number: _script(tree, scripts[number], errors) for number in sorted(scripts)}
    if errors:
        yield from errors
        return
    order = sorted(images)
    pieces = _pieces({order.index(number): text for number, text in texts.items() if text})
    yield IncomingSample(
        where=here,
        source_id=source_id,
        title=parts[-1],
        instruction=instruction,
        images=tuple(_source(tree, images[number]) for number in order),
        output="".join(piece.text for piece in pieces),
        pieces=pieces or None,
        progress=progress,
    )


def _pieces(texts: dict[int, str]) -> tuple[GivenPiece, ...]:
    last = max(texts, default=0)
    return tuple(
        GivenPiece(text if index == last or text.endswith(("\n", "\r")) else f"{text}\n\n", index)
        for index, text in texts.items()
    )


def _numbered(
    files: list[PurePosixPath], endings: set[str], errors: list[RowError]
) -> dict[int, PurePosixPath]:
    numbered: dict[int, PurePosixPath] = {}
    for file in files:
        if file.suffix.lower() not in endings or not _NUMBER.fullmatch(file.stem):
            wanted = "N.txt" if ".txt" in endings else "N.png"
            errors.append(
                RowError(
                    Where(str(file)),
                    None,
                    Message("A file %(wanted)s is needed here.", wanted=wanted),
                )
            )
        elif (number := int(file.stem)) in numbered:
            message = Message(
                "The number %(number)s is there twice: %(first)s, %(second)s.",
                number=number,
                first=numbered[number].name,
                second=file.name,
            )
            errors.append(RowError(Where(str(file)), None, message))
        else:
            numbered[number] = file
    return numbered


def _script(tree: FileTree, file: PurePosixPath, errors: list[RowError]) -> str:
    where = Where(str(file))
    try:
        text = utf8_text(tree.read(str(file), _MAX_SCRIPT))
    except Invalid as error:
        errors.append(RowError(where, None, error.message))
        return ""
    if message := text_error(text):
        errors.append(RowError(where, None, message))
    return text


def _source(tree: FileTree, file: PurePosixPath) -> ImageSource:
    return ImageSource(str(file), Where(str(file)), None, lambda: tree.read(str(file)))


def utf8_text(data: bytes) -> str:
    """A text file's text, without the mark that some editors put first; Invalid if not UTF-8."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Invalid(
            Message("The file is not UTF-8 text (byte %(place)s).", place=error.start + 1)
        ) from None
