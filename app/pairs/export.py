"""The export for TRL: a directory that datasets loads and an unmodified DPOTrainer learns from."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Protocol, Self

import orjson
from sqlalchemy.orm import Session

from app.domain.formats import Pair, Summary, trl, trl_row
from app.domain.prompts import Template
from app.domain.text import SPECIAL_STRINGS, defect
from app.models import Project
from app.pairs.queries import Order, image_kind, newest_id, pair_count, pairs
from app.refusals import Conflict

_TITLE = "# IterDPO preference pairs"
_FILES = frozenset({"metadata.jsonl", "images", "README.md", "dpo.yaml"})
_IMAGES_KEY = b'{"images_file_names":'
# What every special string begins with: almost all texts are cleared by a plain search for it.
_MARKS = tuple({special[:2] for special in SPECIAL_STRINGS})

OnProgress = Callable[[int, int], None]


class Originals(Protocol):
    """Where the bytes of the images are."""

    def original(self, sha256: str, kind: str) -> Path:
        """The file of an image; kind: its format. Raises NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export holds. pairs = mid + last = with_images + without_images.

    images: distinct files. refused: pairs left out, by reason. A trainer reads `images` as images
    only when some pair has one; otherwise the rows are plain JSON (see text_only).
    """

    pairs: int
    mid: int
    last: int
    with_images: int
    without_images: int
    images: int
    refused: Mapping[str, int]

    @property
    def text_only(self) -> bool:
        """No pair has an image: the rows carry "images": [] and datasets reads them as JSON."""
        return self.with_images == 0


def export_trl(
    db: Session,
    *,
    project: Project,
    out: Path,
    store: Originals,
    template: Template,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """Write the project's pairs to the directory `out`, whole or not at all.

    An earlier export there is replaced. on_progress(done, total) is called now and then.
    Raises Conflict when `out` holds anything else, or when there is no pair to export; NotFound
    when the image store lacks an image.
    """
    out = out.absolute()
    _check_place(out)
    total, until = pair_count(db, project_id=project.id), newest_id(db)
    refused: Counter[str] = Counter()
    found = (
        placed.pair
        for placed in pairs(
            db,
            project_id=project.id,
            order=Order.ID,
            until=until,
            on_refused=lambda _id, _why: refused.update(["two different texts are needed"]),
        )
    )
    with _appearing(out) as folder, _Writer(folder, store, project.name, template) as writer:
        for done, pair in enumerate(found, start=1):
            if reason := _unfit(pair):
                refused[reason] += 1
            else:
                writer.add(pair)
            if on_progress is not None and (done % 100 == 0 or done == total):
                on_progress(done, total)
        report = writer.finish(refused, out.name)
        if not report.pairs:
            raise Conflict(_nothing(project, report))
    return report


def _check_place(out: Path) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        raise Conflict(f"{out} is not a directory. Name a new one for the export.")
    names = {path.name for path in out.iterdir()}
    if names and not (names <= _FILES and _is_ours(out)):
        raise Conflict(
            f"{out} holds files that are no export of IterDPO Studio. Name a new directory."
        )


def _is_ours(folder: Path) -> bool:
    readme = folder / "README.md"
    if not readme.is_file():
        return False
    with readme.open(encoding="utf-8", errors="replace") as file:
        return file.readline().rstrip() == _TITLE


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A directory to fill beside `out`; it takes the place of `out` when the block succeeds."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        # mkdtemp makes it private; an export is as readable as the umask says.
        mask = os.umask(0)
        os.umask(mask)
        folder.chmod(0o777 & ~mask)
        yield folder
        if out.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
            out.replace(old)
            folder.replace(out)
            shutil.rmtree(old)
        else:
            folder.replace(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unfit(pair: Pair) -> str | None:
    """Why a trainer must not see this pair: text that its tokenizer reads as a command."""
    for name, text in (
        ("instruction", pair.instruction),
        ("prefix", pair.prefix),
        ("chosen text", pair.chosen),
        ("rejected text", pair.rejected),
    ):
        if any(mark in text for mark in _MARKS) and defect(text):
            return f"special string of the models in the {name}"
    return None


def _nothing(project: Project, report: ExportReport) -> str:
    if report.refused:
        return f"No pair of {project.name} can be exported: {_reasons(report.refused)}."
    return f"{project.name} has no pairs yet. Every correction that an annotator saves is one."


def _reasons(refused: Mapping[str, int]) -> str:
    return "; ".join(f"{count} × {reason}" for reason, count in sorted(refused.items()))


class _Writer:
    """Rows and images as they come. Rows with images stand first: datasets decides by the first
    10 MB of a file what its columns are, and an empty list there would hide that it has images."""

    def __init__(self, folder: Path, store: Originals, project: str, template: Template) -> None:
        self._folder = folder
        self._store = store
        self._project = project
        self._template = template
        self._copied: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._files = ExitStack()
        self._rows: IO[bytes] = self._files.enter_context((folder / "metadata.jsonl").open("wb"))
        self._textual: IO[bytes] = self._files.enter_context(
            tempfile.TemporaryFile(dir=folder.parent)  # noqa: SIM115 - the stack closes it
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, pair: Pair) -> None:
        """Write one row and the images that no row before it had."""
        for sha256, file in zip(pair.images, pair.image_files, strict=True):
            self._copy(sha256, file)
        line = orjson.dumps(trl_row(pair, self._template), option=orjson.OPT_APPEND_NEWLINE)
        (self._rows if pair.images else self._textual).write(line)
        self._counts["last" if pair.ends_output else "mid"] += 1
        self._counts["with" if pair.images else "without"] += 1

    def finish(self, refused: Mapping[str, int], name: str) -> ExportReport:
        """Close the files, add README.md and dpo.yaml; name: what the folder will be called."""
        counts = self._counts
        self._textual.seek(0)
        if counts["with"]:
            shutil.copyfileobj(self._textual, self._rows, 2**20)
        else:
            self._rows.writelines(_plain(self._textual))
        self._files.close()
        report = ExportReport(
            pairs=counts["mid"] + counts["last"],
            mid=counts["mid"],
            last=counts["last"],
            with_images=counts["with"],
            without_images=counts["without"],
            images=len(self._copied),
            refused=dict(refused),
        )
        for file, text in trl.companions(self._summary(report, name)).items():
            (self._folder / file).write_text(text, encoding="utf-8", newline="\n")
        return report

    def _summary(self, report: ExportReport, name: str) -> Summary:
        return Summary(
            folder=name,
            project=self._project,
            renderer=self._template,
            rows={trl.FILE: report.pairs},
            mid=report.mid,
            last=report.last,
            with_images=report.with_images,
            without_images=report.without_images,
            images=report.images,
            left_out=report.refused,
            version=version("iterdpo-studio"),
        )

    def _copy(self, sha256: str, file: str) -> None:
        if sha256 in self._copied:
            return
        target = self._folder / file
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(self._store.original(sha256, image_kind(file)), target)
        self._copied.add(sha256)


def _plain(rows: Iterable[bytes]) -> Iterator[bytes]:
    """Rows for the JSON loader: the images column under its own name."""
    for row in rows:
        yield b'{"images":' + row.removeprefix(_IMAGES_KEY)
