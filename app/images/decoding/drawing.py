"""Reads an image's bytes and draws what browsers show of it. Runs in a decoder only."""

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from app.domain.messages import Message
from app.images.inspection import FORMATS, check_sides
from app.refusals import Invalid

# Our own limit is checked from the header, before anything is decoded, and names the setting.
Pillow.MAX_IMAGE_PIXELS = None

_ORIENTATION = 0x0112
# Chunks of a PNG that can hold EXIF or XMP.
_PNG_EXIF = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
# The longest side that WebP can hold.
_WEBP_SIDE = 16383
_QUALITY = 82
# A slide with flat areas has fewer colours; a photograph of the same size has ten times as many.
_FLAT_COLOURS = 8192
# Pixels of a large image that are converted at a time.
_STRIP_PIXELS = 4_000_000
# Bytes that decoding a pixel takes at most: of WebP Pillow keeps four pictures of 4 bytes, a
# progressive JPEG keeps its coefficients as well.
_WEBP_COST, _PROGRESSIVE_COST, _COST = 18, 10, 6


@dataclass(frozen=True, slots=True)
class Header:
    """What an image's header says. width, height: as it is shown."""

    kind: str
    width: int
    height: int
    animated: bool


def header(data: bytes, *, max_megapixels: int, room: int) -> Header:
    """The facts of an image from its header; decodes no pixels.

    Raises Invalid, with a sentence for the user, for what is no image of an allowed format or
    not of an allowed size; MemoryError for one that takes more than `room` bytes to decode.
    """
    if _webp_cost(data) > room:
        raise MemoryError
    with _opened(data) as image:
        width, height = image.size
        check_sides(width, height, max_megapixels=max_megapixels)
        if _cost(image) > room:
            raise MemoryError
        if _orientation(image, data) >= 5:
            width, height = height, width
        kind = "jpeg" if image.format == "MPO" else str(image.format).lower()
        animated = kind != "jpeg" and _is_animated(image)
        return Header(kind, width, height, animated)


def rendition(data: bytes, width: int) -> bytes:
    """A WebP file at most so wide, upright by EXIF, on white; Invalid if the image is damaged.

    An image that is narrower keeps its own width: renditions are never larger.
    """
    image = _decoded(data, width)
    return drawn(image, width, _orientation(image, data))


def drawn(image: Pillow.Image, width: int, orientation: int = 1) -> bytes:
    """The WebP file of an image that is decoded already. orientation: as EXIF has it."""
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
    stored = _stored_size(image, width, orientation)
    # A box filter down to twice the size and Lanczos from there: a third of the time of Lanczos
    # alone, and nobody sees the difference.
    shrunk = _rgb_by_strips(image, max(1, image.width // stored[0] // 2))
    if stored != shrunk.size:
        shrunk = shrunk.resize(stored, Pillow.Resampling.LANCZOS, reducing_gap=2.0)
    return _encoded(_turned(shrunk, orientation), profile)


def still(data: bytes) -> bytes:
    """The first frame as a PNG file, upright, opaque on white, 8 bits; Invalid if damaged."""
    image = _decoded(data, None)
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
    return png(_turned(_rgb_by_strips(image, 1), _orientation(image, data)), profile)


def is_seen_right(data: bytes, *, turns: bool) -> bool:
    """Whether a reader that converts to RGB sees an image as people do; its header tells. turns:
    the reader turns it upright and puts it on white by itself."""
    with _opened(data) as image:
        if turns:
            return not image.mode.startswith(("I", "F"))
        plain = image.mode in ("RGB", "L") and "transparency" not in image.info
        return plain and not _is_animated(image) and _orientation(image, data) == 1


def png(image: Pillow.Image, profile: bytes | None = None) -> bytes:
    """An image as a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG", icc_profile=profile)
    return file.getvalue()


def _decoded(data: bytes, width: int | None) -> Pillow.Image:
    """All pixels of an image; of an animation the first frame. width: what will be drawn of it,
    which lets a JPEG come out smaller; every byte of it is read all the same."""
    if data.startswith(b"\x89PNG"):
        # Decoding skips the checksums of the pixel data; verify reads them and nothing else.
        with _opened(data) as image:
            _reading(image.verify)
    image = _opened(data)
    if width is not None and image.format in ("JPEG", "MPO"):
        wanted = _stored_size(image, width, _orientation(image, data))
        _reading(lambda: image.draft("RGB", (2 * wanted[0], 2 * wanted[1])))
    _reading(image.load)
    return image


def _stored_size(image: Pillow.Image, width: int, orientation: int) -> tuple[int, int]:
    """The size that an image is drawn in, before it is turned."""
    if orientation < 5:
        return _fit(image.size, width)
    across, down = _fit(image.size[::-1], width)
    return down, across


def _fit(size: tuple[int, int], width: int) -> tuple[int, int]:
    scale = min(1.0, width / size[0], _WEBP_SIDE / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _encoded(image: Pillow.Image, profile: bytes | None) -> bytes:
    lossy = _webp(image, profile, quality=_QUALITY, method=2)
    if image.getcolors(_FLAT_COLOURS) is None:
        return lossy
    lossless = _webp(image, profile, lossless=True, quality=60, method=2)
    return min(lossless, lossy, key=len)


def _webp(image: Pillow.Image, profile: bytes | None, **options: int) -> bytes:
    file = io.BytesIO()
    # Other metadata (EXIF with a place and a time, comments) is for nobody's browser.
    image.save(file, "WEBP", icc_profile=profile, exif=b"", xmp=b"", **options)
    return file.getvalue()


def _rgb_by_strips(image: Pillow.Image, factor: int) -> Pillow.Image:
    """The image in 8 bits on white, a factor smaller. A strip at a time: beside the decoded
    image only the result and one strip take memory."""
    rows = max(1, _STRIP_PIXELS // image.width // factor) * factor
    if rows >= image.height:
        return _reduced(_rgb(image), factor)
    size = -(-image.width // factor), -(-image.height // factor)
    whole = Pillow.new("RGB", size)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(image.height, top + rows)))
        whole.paste(_reduced(_rgb(strip), factor), (0, top // factor))
    return whole


def _reduced(image: Pillow.Image, factor: int) -> Pillow.Image:
    return image.reduce(factor) if factor > 1 else image


def _rgb(image: Pillow.Image) -> Pillow.Image:
    if image.mode.startswith(("I", "F")):
        # 16 bits a pixel, as scans have them; a plain conversion would clip all of it to white.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        # White, as the loaders of vLLM and Qwen have it, and as slides are meant.
        opaque = Pillow.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _turned(image: Pillow.Image, orientation: int) -> Pillow.Image:
    if orientation == 1:
        return image
    exif = Pillow.Exif()
    exif[_ORIENTATION] = orientation
    image.info = {"exif": exif.tobytes()}
    return ImageOps.exif_transpose(image)


def _orientation(image: Pillow.Image, data: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 when there is none that can be read."""
    if image.format == "PNG" and not any(mark in data for mark in _PNG_EXIF):
        return 1  # Pillow would decode all pixels, to look behind them.
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, IndexError):
        return 1  # EXIF is written by cameras and careless tools; the pixels are what counts.
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _is_animated(image: Pillow.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, IndexError, EOFError):
        return False  # What follows the first frame is damaged; the first frame is what counts.


def _webp_cost(data: bytes) -> int:
    """Bytes that a WebP file takes; opening it takes half of them, before a header can be asked. 0
    for other files."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return 0
    form, body = data[12:16], data[20:30].ljust(10, b"\0")
    if form == b"VP8X":
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
    elif form == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    return width * height * _WEBP_COST


def _cost(image: Pillow.Image) -> int:
    cost = _COST
    if image.format == "WEBP":
        cost = _WEBP_COST
    elif image.info.get("progressive"):
        cost = _PROGRESSIVE_COST
    return image.width * image.height * cost


def _opened(data: bytes) -> Pillow.Image:
    """The image behind bytes, header read, pixels not; Invalid if its format is not allowed."""
    try:
        return Pillow.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise Invalid(
            "This is not an image that can be shown: PNG, JPEG, WebP, GIF or BMP is needed."
        ) from None
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(error) from error


def _reading(read: Callable[[], object]) -> None:
    try:
        read()
    except MemoryError:
        raise
    except Exception as error:
        if "out of memory" in str(error):
            raise MemoryError from error
        raise _damaged(error) from error


def _damaged(error: Exception) -> Invalid:
    # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more on bad bytes.
    reason = str(error).strip().rstrip(".") or type(error).__name__
    return Invalid(Message("The image is damaged and cannot be read: %(reason)s.", reason=reason))
