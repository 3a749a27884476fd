"""What trainers see of an image is what annotators see of it: upright, on white, not clipped.

The loaders are those of the trainers, word for word: neither LLaMA-Factory nor ms-swift can be
installed beside the versions that are pinned here.
"""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from PIL import Image, ImageChops, ImageStat
from sqlalchemy.orm import Session

from app.domain.filters import PairFilter
from app.domain.formats import Reader
from app.domain.prompts import Template
from app.domain.quality import Gate
from app.exports.export import Order, export_directory
from app.exports.formats import FORMATS, Rendering
from app.images.normalising import normalised
from app.images.store import ImageStore
from app.models import Image as StoredImage
from app.models import SampleImage
from tests.db.conftest import Desk
from tests.support.factories import add_draft, add_project, add_sample, add_user

WIDTH, HEIGHT = 96, 64


def llamafactory(path: Path) -> Image.Image:
    """LLaMA-Factory 0.9.5, src/llamafactory/data/mm_plugin.py: _regularize_images and
    _preprocess_image, for an image of a size that it leaves alone."""
    image: Image.Image = Image.open(str(path))
    if image.mode != "RGB":
        image = image.convert("RGB")
    return image


def ms_swift(path: Path) -> Image.Image:
    """ms-swift 4.6.0, swift/template/vision_utils.py: load_file and load_image."""
    image: Image.Image = Image.open(io.BytesIO(path.read_bytes()))
    if image.mode != "RGB":
        image = image.convert("RGB")
    return image


def slide() -> Image.Image:
    """Nothing of it is the same when it is turned: a dark corner, a bar, and white."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    image.paste((20, 30, 160), (0, 0, 30, 20))
    image.paste((200, 40, 30), (60, 44, 96, 64))
    return image


def saved(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    """A photograph that lies on its side, and says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation]
    return saved(slide().transpose(lying), "JPEG", quality=95, exif=exif)


def see_through() -> Image.Image:
    """Black text on a transparent slide: on black nothing of it would be left."""
    image = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (10, 10, 40, 30))
    return image


def see_through_grey() -> Image.Image:
    grey = Image.new("LA", (WIDTH, HEIGHT), (0, 0))
    grey.paste((90, 255), (10, 10, 40, 30))
    return grey


def palette_with_a_hole() -> bytes:
    image = Image.new("P", (WIDTH, HEIGHT), 0)
    image.putpalette([0, 0, 0, 200, 30, 30])
    image.paste(1, (10, 10, 40, 30))
    return saved(image, transparency=0)


def deep() -> bytes:
    """16 bits a pixel, as scans have them."""
    image = Image.new("I;16", (WIDTH, HEIGHT))
    image.putdata([x * 600 for _ in range(HEIGHT) for x in range(WIDTH)])
    return saved(image)


def moving() -> bytes:
    frames = [slide(), Image.new("RGB", (WIDTH, HEIGHT), "black")]
    return saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)


ODD: dict[str, Callable[[], bytes]] = {
    "turned by 90": lambda: turned(6),
    "upside down": lambda: turned(3),
    "transparent": lambda: saved(see_through()),
    "transparent grey": lambda: saved(see_through_grey()),
    "transparent palette": palette_with_a_hole,
    "transparent colour": lambda: saved(slide(), transparency=(255, 255, 255)),
    "16 bits": deep,
    "CMYK": lambda: saved(slide().convert("CMYK"), "JPEG", quality=95),
    "palette": lambda: saved(slide().convert("P")),
    "animated": moving,
}
PLAIN: dict[str, Callable[[], bytes]] = {
    "colours": lambda: saved(slide()),
    "greys": lambda: saved(slide().convert("L")),
    "photograph": lambda: saved(slide(), "JPEG"),
    "webp": lambda: saved(slide(), "WEBP"),
}
EVERY = ODD | PLAIN


def far_apart(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two images of one size, of 255."""
    assert one.size == other.size
    difference = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
    return max(ImageStat.Stat(difference).mean)


class Exports:
    """A project whose only pair shows an image; exported as a format."""

    def __init__(self, db: Session, place: Path) -> None:
        self.db, self.place = db, place
        self.store = ImageStore(place / "images")
        self.user = add_user(db, name="lin")
        self.project = add_project(db, name="lectures")

    def show(self, *images: bytes) -> list[str]:
        sample = add_sample(self.db, project=self.project)
        hashes = []
        for position, data in enumerate(images):
            facts = self.store.add(data).facts
            self.db.merge(
                StoredImage(
                    sha256=facts.sha256,
                    format=facts.format,
                    width=facts.width,
                    height=facts.height,
                    size=facts.size,
                )
            )
            self.db.flush()
            self.db.add(SampleImage(sample_id=sample.id, position=position, sha256=facts.sha256))
            hashes.append(facts.sha256)
        self.db.flush()
        desk = Desk(self.db, add_draft(self.db, sample=sample, user=self.user), self.user)
        desk.correct(1, "## Slide 1\nA better one.\n\n")
        return hashes

    def __call__(self, format: str) -> tuple[Path, dict[str, object]]:
        order = Order(
            PairFilter(project=("lectures",)),
            FORMATS[format],
            Rendering(Template.QWEN2_5_VL, folder=format),
            Gate(),
        )
        out = self.place / format
        export_directory(self.db, order, projects=[self.project.id], out=out, store=self.store)
        manifest: dict[str, object] = json.loads((out / "manifest.yaml").read_bytes())
        return out, manifest

    def seen(self, sha256: str) -> Image.Image:
        """As the annotator's page shows it."""
        kind = self.db.get_one(StoredImage, sha256).format
        return Image.open(self.store.rendition(sha256, kind, 1920))


@pytest.fixture
def exports(db: Session, tmp_path: Path) -> Exports:
    return Exports(db, tmp_path)


@pytest.mark.parametrize(
    ("format", "load"),
    [
        ("llamafactory", llamafactory),
        ("llamafactory-exact", llamafactory),
        ("ms-swift", ms_swift),
    ],
)
def test_a_trainer_that_mends_nothing_sees_what_annotators_see(
    exports: Exports, format: str, load: Callable[[Path], Image.Image]
) -> None:
    hashes = exports.show(*(make() for make in EVERY.values()))
    out, manifest = exports(format)
    (line,) = (out / "pairs.jsonl").read_text().splitlines()
    files = json.loads(line)["images"]
    for name, sha256, file in zip(EVERY, hashes, files, strict=True):
        assert far_apart(load(out / file), exports.seen(sha256)) < 6, name
        # Its name is the hash of its own bytes, and the manifest has the original's beside it.
        assert Path(file).stem == hashlib.sha256((out / file).read_bytes()).hexdigest(), name
        assert (sha256 in file) is (name in PLAIN or name == "animated"), name
    assert manifest["normalised_images"] == {
        sha256: file for sha256, file in zip(hashes, files, strict=True) if sha256 not in file
    }
    assert {path.name for path in (out / "images").iterdir()} == {Path(f).name for f in files}


@pytest.mark.parametrize("format", ["trl", "trl-jsonl"])
def test_through_datasets_trl_sees_what_annotators_see(exports: Exports, format: str) -> None:
    hashes = exports.show(*(make() for make in EVERY.values()))
    out, _ = exports(format)
    (line,) = (out / FORMATS[format].file).read_text().splitlines()
    row = json.loads(line)
    files = row.get("images_file_names") or row["images"]
    for name, sha256, file in zip(EVERY, hashes, files, strict=True):
        opened = datasets.Image().decode_example({"path": str(out / file), "bytes": None})
        assert far_apart(_on_white(opened), exports.seen(sha256)) < 6, name
        # Their own bytes, but for those that it would clip to white.
        assert (sha256 in file) is (name != "16 bits"), name


def _on_white(image: Image.Image) -> Image.Image:
    """transformers 5.24, image_transforms.convert_to_rgb (tests/trl runs the processor itself)."""
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(background, image).convert("RGB")
    return image.convert("RGB")


@pytest.mark.parametrize("format", ["raw", "parquet"])
def test_what_is_stored_leaves_as_it_is(exports: Exports, format: str) -> None:
    hashes = exports.show(turned(6), deep())
    _, manifest = exports(format)
    assert manifest["normalised_images"] == {}
    assert manifest["images"] == len(hashes)


def test_an_image_is_normalised_once(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    exports.show(turned(6))
    first = (exports("ms-swift")[0] / "pairs.jsonl").read_bytes()

    def never(*_: object) -> bytes:
        raise AssertionError("It is kept beside the original.")

    monkeypatch.setattr("app.images.normalising.normalised", never)
    assert (exports("ms-swift")[0] / "pairs.jsonl").read_bytes() == first


def test_an_image_that_is_removed_leaves_nothing_behind(exports: Exports) -> None:
    (sha256,) = exports.show(turned(6))
    exports("llamafactory")
    exports.store.remove(sha256, "jpeg")
    assert [path for path in (exports.place / "images").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", EVERY)
def test_a_normalised_image_needs_nothing_more(name: str) -> None:
    given = EVERY[name]()
    made = normalised(given, Reader.PILLOW)
    assert (made is None) is (name in PLAIN)
    assert normalised(made or given, Reader.PILLOW) is None
