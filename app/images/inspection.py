"""Decides whether bytes are an image that people and models can be shown, and what it is."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from app.domain.messages import Message
from app.refusals import Invalid

# What the image loaders of vLLM and other servers decode. SVG and HTML can carry scripts, TIFF is
# a container of anything: they are not here.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MAX_BYTES = 64 * 1024 * 1024
# One patch of the Qwen2-VL family is 28 pixels wide; its image processor (smart_resize) refuses
# an aspect ratio above 200.
MIN_SIDE = 28
MAX_ASPECT = 200

# Our own limit is checked from the header, before anything is decoded, and names the setting.
Pillow.MAX_IMAGE_PIXELS = None

_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is. format: png, jpeg, webp, gif or bmp. width, height: in pixels, as it is
    shown (after its EXIF orientation). size: in bytes."""

    sha256: str
    format: str
    width: int
    height: int
    size: int


def inspect(data: bytes, *, max_megapixels: int) -> ImageFacts:
    """The facts of an image from its header; decodes no pixels.

    Raises Invalid, with a sentence for the user, for what is no image of an allowed format, has too
    many bytes or pixels, a side below 28 pixels or an aspect ratio above 200.
    """
    if not data:
        raise Invalid("The file is empty.")
    if len(data) > MAX_BYTES:
        raise Invalid(Message("The image has more than %(most)s MiB.", most=MAX_BYTES // 2**20))
    with open_image(data) as image:
        width, height = image.size
        if width * height > max_megapixels * 1_000_000:
            raise Invalid(
                Message(
                    "The image has %(width)s × %(height)s pixels; at most %(max_megapixels)s "
                    "million are allowed (setting ITERDPO_MAX_IMAGE_MEGAPIXELS).",
                    width=width,
                    height=height,
                    max_megapixels=max_megapixels,
                )
            )
        if min(width, height) < MIN_SIDE:
            raise Invalid(
                Message(
                    "The image has %(width)s × %(height)s pixels; each side needs at least "
                    "%(least)s.",
                    width=width,
                    height=height,
                    least=MIN_SIDE,
                )
            )
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise Invalid(
                Message(
                    "The image has %(width)s × %(height)s pixels; models refuse an image "
                    "that is more than %(most)s times as long as it is wide.",
                    width=width,
                    height=height,
                    most=MAX_ASPECT,
                )
            )
        if orientation(image) >= 5:
            width, height = height, width
        kind = "jpeg" if image.format == "MPO" else str(image.format).lower()
    return ImageFacts(hashlib.sha256(data).hexdigest(), kind, width, height, len(data))


def decode(data: bytes) -> Pillow.Image:
    """All pixels of an image that inspect accepted; of an animation the first frame.

    Raises Invalid for a damaged or truncated file.
    """
    if data.startswith(b"\x89PNG"):
        # Decoding skips the checksums of the pixel data; verify reads them and nothing else.
        with open_image(data) as image:
            _reading(image.verify)
    image = open_image(data)
    _reading(image.load)
    return image


def orientation(image: Pillow.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 when there is none that can be read."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, IndexError):
        return 1  # EXIF is written by cameras and careless tools; the pixels are what counts.
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def open_image(data: bytes) -> Pillow.Image:
    """The image behind bytes, header read, pixels not; Invalid if its format is not allowed."""
    try:
        return Pillow.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise Invalid(
            "This is not an image that can be shown: PNG, JPEG, WebP, GIF or BMP is needed."
        ) from None
    except Exception as error:
        raise _damaged(error) from error


def _reading(read: Callable[[], object]) -> None:
    try:
        read()
    except Exception as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> Invalid:
    # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more on bad bytes.
    reason = str(error).strip().rstrip(".") or type(error).__name__
    return Invalid(Message("The image is damaged and cannot be read: %(reason)s.", reason=reason))
