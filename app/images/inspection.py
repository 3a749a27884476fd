"""What an image is, and which images people and models can be shown; reads no image itself."""

from dataclasses import dataclass

from app.domain.messages import Message
from app.refusals import Invalid

# The image loaders of vLLM and other servers decode these. SVG and HTML can carry scripts, TIFF is
# a container of anything: they are not here.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
KINDS = tuple(name.lower() for name in FORMATS)
MAX_BYTES = 64 * 1024 * 1024
# One patch of the Qwen2-VL family is 28 pixels wide; its image processor (smart_resize) refuses
# an aspect ratio above 200.
MIN_SIDE = 28
MAX_ASPECT = 200


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is. format: png, jpeg, webp, gif or bmp. width, height: in pixels, as it is
    shown (after its EXIF orientation). size: in bytes. given_sha256: of the file that came, where
    it was an animation and this is its first frame; None where this is the file itself."""

    sha256: str
    format: str
    width: int
    height: int
    size: int
    given_sha256: str | None = None


def check_bytes(data: bytes) -> None:
    """Raises Invalid, with a sentence for the user, for an empty file or one above 64 MiB."""
    if not data:
        raise Invalid("The file is empty.")
    if len(data) > MAX_BYTES:
        raise Invalid(Message("The image has more than %(most)s MiB.", most=MAX_BYTES // 2**20))


def check_sides(width: int, height: int, *, max_megapixels: int) -> None:
    """Raises Invalid, with a sentence for the user, for too many pixels, a side below 28 pixels or
    an aspect ratio above 200."""
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
                "The image has %(width)s × %(height)s pixels; each side needs at least %(least)s.",
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
