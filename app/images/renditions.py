"""Smaller WebP copies of an image for the browser."""

import io

from PIL import Image as Pillow
from PIL import ImageOps

from app.images.inspection import decode

WIDTHS = (320, 960, 1920)
# The longest side that WebP can hold.
_WEBP_SIDE = 16383
_QUALITY = 82
# A slide with flat areas has fewer colours; a photograph of the same size has ten times as many.
_FLAT_COLOURS = 8192


def renditions(data: bytes) -> dict[int, bytes]:
    """A WebP file for each of WIDTHS, upright by EXIF; Invalid if the image is damaged.

    An image that is narrower than a width keeps its own: renditions are never larger.
    """
    image = _upright_rgb(decode(data))
    made: dict[tuple[int, int], bytes] = {}
    result: dict[int, bytes] = {}
    # From the largest down: each is scaled from the one before, which costs a quarter.
    for width in reversed(WIDTHS):
        size = _fit(image.size, width)
        if size != image.size:
            image = image.resize(size, Pillow.Resampling.LANCZOS)
        if size not in made:
            made[size] = _encode(image)
        result[width] = made[size]
    return result


def _fit(size: tuple[int, int], width: int) -> tuple[int, int]:
    scale = min(1.0, width / size[0], _WEBP_SIDE / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _encode(image: Pillow.Image) -> bytes:
    lossy = _webp(image, quality=_QUALITY, method=2)
    if image.getcolors(_FLAT_COLOURS) is None:
        return lossy
    lossless = _webp(image, lossless=True, quality=60, method=2)
    return min(lossless, lossy, key=len)


def _webp(image: Pillow.Image, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", icc_profile=image.info.get("icc_profile"), **options)
    return file.getvalue()


def _upright_rgb(image: Pillow.Image) -> Pillow.Image:
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
    upright = _upright(image)
    flat = _rgb(upright)
    # Other metadata (EXIF with a place and a time, comments) is for nobody's browser.
    flat.info = {"icc_profile": profile} if profile else {}
    return flat


def _upright(image: Pillow.Image) -> Pillow.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, IndexError):
        return image


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
