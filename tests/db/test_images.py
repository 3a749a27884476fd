"""The image store: what it keeps, what it shows, what it refuses."""

import hashlib
import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image as Pillow

from app.images.store import ImageStore
from app.refusals import Invalid, NotFound
from tests.support.imports import animation, picture


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images", max_megapixels=4)


def shown(path: Path) -> Pillow.Image:
    with Pillow.open(path) as image:
        image.load()
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_an_original_is_kept_byte_for_byte_under_its_hash(store: ImageStore, kind: str) -> None:
    data = picture(kind=kind)
    facts = store.add(data).facts
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert (facts.format, facts.width, facts.height, facts.size) == (
        kind.lower(), 64, 48, len(data),
    )  # fmt: skip
    path = store.original(facts.sha256, facts.format)
    assert path.read_bytes() == data
    assert path.name == f"{facts.sha256}.{kind.lower()}"
    assert path.parent.name == facts.sha256[:2]


def test_renditions_come_in_three_widths(store: ImageStore) -> None:
    facts = store.add(picture(size=(2400, 1350))).facts
    sizes = {
        width: shown(store.rendition(facts.sha256, facts.format, width)).size
        for width in (320, 960, 1920)
    }
    assert sizes == {320: (320, 180), 960: (960, 540), 1920: (1920, 1080)}


def test_a_rendition_is_never_larger_than_the_original(store: ImageStore) -> None:
    facts = store.add(picture(size=(500, 400))).facts
    assert shown(store.rendition(facts.sha256, facts.format, 320)).size == (320, 256)
    for width in (960, 1920):
        assert shown(store.rendition(facts.sha256, facts.format, width)).size == (500, 400)


def test_a_flat_slide_is_shown_without_loss(store: ImageStore) -> None:
    slide = Pillow.new("RGB", (800, 600), "white")
    slide.paste("navy", (100, 100, 300, 200))
    file = io.BytesIO()
    slide.save(file, "PNG")
    facts = store.add(file.getvalue()).facts
    image = shown(store.rendition(facts.sha256, facts.format, 1920))
    assert image.convert("RGB").tobytes() == slide.tobytes()


def test_a_missing_rendition_is_made_again(store: ImageStore) -> None:
    facts = store.add(picture()).facts
    path = store.rendition(facts.sha256, facts.format, 320)
    before = path.read_bytes()
    path.unlink()
    assert store.rendition(facts.sha256, facts.format, 320).read_bytes() == before


def test_only_the_known_widths_are_served(store: ImageStore) -> None:
    facts = store.add(picture()).facts
    with pytest.raises(NotFound):
        store.rendition(facts.sha256, facts.format, 321)


def test_what_is_there_is_not_new(store: ImageStore) -> None:
    assert store.add(picture()).is_new
    assert not store.add(picture()).is_new


def test_a_removed_image_is_gone_with_its_renditions(store: ImageStore, tmp_path: Path) -> None:
    facts = store.add(picture()).facts
    store.remove(facts.sha256, facts.format)
    store.remove(facts.sha256, facts.format)
    assert [path for path in (tmp_path / "images").rglob("*") if path.is_file()] == []
    with pytest.raises(NotFound):
        store.original(facts.sha256, facts.format)


def test_the_orientation_of_a_photograph_is_in_what_is_shown_only(store: ImageStore) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    file = io.BytesIO()
    Pillow.new("RGB", (80, 40), "red").save(file, "JPEG", exif=exif)
    facts = store.add(file.getvalue()).facts
    assert (facts.width, facts.height) == (40, 80)
    assert shown(store.rendition(facts.sha256, facts.format, 320)).size == (40, 80)
    assert shown(store.original(facts.sha256, facts.format)).size == (80, 40)


def test_a_transparent_image_is_shown_on_white(store: ImageStore) -> None:
    file = io.BytesIO()
    Pillow.new("RGBA", (40, 40), (0, 0, 0, 0)).save(file, "PNG")
    facts = store.add(file.getvalue()).facts
    image = shown(store.rendition(facts.sha256, facts.format, 320)).convert("RGB")
    assert image.getpixel((20, 20)) == (255, 255, 255)


def test_a_16_bit_scan_is_not_shown_as_white(store: ImageStore) -> None:
    file = io.BytesIO()
    Pillow.new("I;16", (40, 40), 0x8000).save(file, "PNG")
    facts = store.add(file.getvalue()).facts
    pixel = shown(store.rendition(facts.sha256, facts.format, 320)).convert("L").getpixel((20, 20))
    assert pixel == 128


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_kept_as_its_first_frame(store: ImageStore, kind: str) -> None:
    data = animation(kind)
    facts = store.add(data).facts
    assert (facts.format, facts.width, facts.height) == ("png", 64, 48)
    assert facts.given_sha256 == hashlib.sha256(data).hexdigest()
    for path in (
        store.original(facts.sha256, facts.format),
        store.rendition(facts.sha256, facts.format, 320),
    ):
        image = shown(path)
        assert getattr(image, "n_frames", 1) == 1
        red, green, blue = image.convert("RGB").getpixel((20, 20))  # type: ignore[misc]
        assert red > 200
        assert max(green, blue) < 50
    again = store.add(data)
    assert (again.facts, again.is_new) == (facts, False)


def test_what_nobody_has_looked_at_is_not_drawn_large(store: ImageStore, tmp_path: Path) -> None:
    facts = store.add(picture(size=(2400, 1350))).facts
    assert sorted(path.name for path in (tmp_path / "images").rglob("*.*")) == [
        f"{facts.sha256}-320.webp",
        f"{facts.sha256}.png",
    ]


def truncated(kind: str) -> bytes:
    noise = Pillow.effect_noise((200, 200), 80).convert("RGB")
    file = io.BytesIO()
    noise.save(file, kind)
    return file.getvalue()[: len(file.getvalue()) // 2]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_truncated_image_is_refused_and_leaves_nothing(
    store: ImageStore, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(Invalid, match="damaged"):
        store.add(truncated(kind))
    assert not any((tmp_path / "images").rglob("*.*"))


def test_a_flipped_bit_in_a_png_is_noticed(store: ImageStore) -> None:
    data = bytearray(picture(size=(200, 200)))
    data[data.index(b"IDAT") + 12] ^= 1
    with pytest.raises(Invalid, match="damaged"):
        store.add(bytes(data))


def tiff() -> bytes:
    return picture(kind="TIFF")


@pytest.mark.parametrize(
    "data",
    [
        b"just text, no image",
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7\n",
        tiff(),
    ],
    ids=["text", "SVG", "HTML", "PDF", "TIFF"],
)
def test_what_is_no_picture_of_an_allowed_format_is_refused(store: ImageStore, data: bytes) -> None:
    with pytest.raises(Invalid, match="PNG, JPEG, WebP, GIF or BMP"):
        store.add(data)


def test_an_empty_file_is_refused(store: ImageStore) -> None:
    with pytest.raises(Invalid, match="empty"):
        store.add(b"")


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises far more pixels than its few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_too_many_pixels_are_refused_before_they_are_decoded(store: ImageStore) -> None:
    with pytest.raises(Invalid, match="at most 4 million"):
        store.add(bomb(50_000, 50_000))


def test_an_image_too_small_or_too_narrow_for_a_model_is_refused(store: ImageStore) -> None:
    with pytest.raises(Invalid, match="at least 28"):
        store.add(picture(size=(27, 400)))
    with pytest.raises(Invalid, match="200 times"):
        store.add(picture(size=(28 * 201, 28)))
    assert store.add(picture(size=(5600, 28))).facts.width == 5600


def test_no_half_written_file_is_left_when_the_disk_refuses(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.add(picture())
    assert [path for path in (tmp_path / "images").rglob("*") if path.is_file()] == []
