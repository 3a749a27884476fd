"""Files to import, and what came of them."""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app.images.store import ImageStore
from app.models import Project, Sample, Segment
from app.samples.importing import ImportOptions, ImportRefused, ImportReport, import_path

DECK = Path(__file__).parents[1] / "data" / "packaging-tutorial" / "packaging-tutorial.pdf"


def picture(
    colour: str = "teal", *, size: tuple[int, int] = (64, 48), kind: str = "PNG", mode: str = "RGB"
) -> bytes:
    """An image file of one colour."""
    file = io.BytesIO()
    Pillow.new("RGB", size, colour).convert(mode).save(file, kind)
    return file.getvalue()


def animation(kind: str = "GIF") -> bytes:
    """An animated image, red and then blue."""
    file = io.BytesIO()
    frames = [Pillow.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


def nested_forms(depth: int = 13) -> bytes:
    """A small PDF of one page: a form that shows another ten times, and that one the next."""
    shown = b"/F Do " * 10
    names = b"<</XObject<</F %d 0 R>>>>"
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Contents 4 0 R/Resources%s>>" % names % 5,
        b"<</Length 5>>stream\n/F Do\nendstream",
    ]
    for number in range(5, 5 + depth):
        inner = names % (number + 1) if number < 4 + depth else b"<<>>"
        text = shown if number < 4 + depth else b"0 0 9 9 re f"
        head = b"<</Type/XObject/Subtype/Form/BBox[0 0 100 100]/Resources%s/Length %d>>"
        bodies.append(head % (inner, len(text)) + b"stream\n" + text + b"\nendstream")
    file = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(bodies, start=1):
        places.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(bodies) + 1
    end = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, len(file))
    return file + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + end


def lines(*rows: Mapping[str, Any] | str) -> bytes:
    """A JSON Lines file; a row that is a text stands in it as it is."""
    return "".join(
        f"{row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)}\n" for row in rows
    ).encode()


def row(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A line with an id, an instruction and an output of two slides."""
    return {
        "id": f"sample-{number}",
        "instruction": "Write a lecture script.",
        "images": [],
        "output": "## Slide 1\nWelcome.\n\n## Slide 2\nGoodbye.",
    } | fields


def archive(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip archive with these entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def tree(root: Path, files: Mapping[str, bytes]) -> Path:
    """A folder with these files."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


class Importer:
    """Imports into one project with one store, as the command line does."""

    def __init__(self, db: Session, project: Project, store: ImageStore) -> None:
        self.db = db
        self.project = project
        self.store = store

    def __call__(self, path: Path, **options: Any) -> ImportReport:
        return import_path(
            self.db,
            project=self.project,
            path=path,
            store=self.store,
            actor_id=None,
            options=ImportOptions(**options),
        )

    def refused(self, path: Path, **options: Any) -> list[str]:
        """The errors of an import that must not work, each as one line; nothing was written."""
        with pytest.raises(ImportRefused) as refusal:
            self(path, **options)
        assert self.samples() == []
        if refusal.value.kinds:
            return [f"{kind.count} x {kind.first}" for kind in refusal.value.kinds]
        return [str(error) for error in refusal.value.errors]

    def samples(self) -> list[Sample]:
        """The project's samples in the order of their import."""
        query = select(Sample).where(Sample.project_id == self.project.id).order_by(Sample.id)
        return list(self.db.scalars(query))

    def output(self, source_id: str) -> list[Segment]:
        """The segments of a sample's path, without the root."""
        query = select(Sample.head_id).where(
            Sample.project_id == self.project.id, Sample.source_id == source_id
        )
        step = select(Segment).where(Segment.id == self.db.scalar(query)).cte(recursive=True)
        up = aliased(Segment)
        step = step.union_all(select(up).join(step, up.id == step.c.parent_id))
        path = select(Segment).join(step, step.c.id == Segment.id).order_by(Segment.depth)
        root, *segments = self.db.scalars(path)
        assert (root.depth, root.text, root.parent_id) == (0, "", None)
        return segments


def texts(segments: Iterable[Segment]) -> list[str]:
    """The segments' texts."""
    return [segment.text for segment in segments]
