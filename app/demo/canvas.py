"""A slide to draw on: fonts, colours, wrapped text and the shapes that charts are made of."""

import io
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from app.resources import DEMO_DATA, STATIC

WIDTH, HEIGHT = 1920, 1080
# Pillow draws edges without smoothing; drawn twice as large and halved they are smooth.
_SCALE = 2

INK = "#14213d"
GREY = "#5b6478"
FAINT = "#8a93a6"
LINE = "#d7dce6"
WASH = "#f3f6fa"
WHITE = "#ffffff"
HUES = ("#1f5fbf", "#d9822b", "#2a9d6f", "#8a4fbf", "#c8453b")
TINTS = ("#eaf1fc", "#fdf1e4", "#e6f5ef", "#f3ebfa", "#fcebea")

_INTER = STATIC / "vendor" / "inter" / "inter-latin-wght-normal.woff2"
_MONO = DEMO_DATA / "jetbrains-mono" / "jetbrains-mono-latin-400-normal.woff2"

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@cache
def _font(path: Path, size: int, weight: int | None) -> ImageFont.FreeTypeFont:
    # The basic layout engine: the same pixels whether or not the machine has libraqm.
    font = ImageFont.truetype(str(path), size * _SCALE, layout_engine=ImageFont.Layout.BASIC)
    if weight is not None:
        font.set_variation_by_axes([weight])
    return font


class Canvas:
    """1920 × 1080 pixels; all measures in these, from the upper left corner."""

    def __init__(self, background: str = WHITE) -> None:
        self._image = Image.new("RGB", (WIDTH * _SCALE, HEIGHT * _SCALE), background)
        self._draw = ImageDraw.Draw(self._image)

    def png(self) -> bytes:
        """The finished picture as a PNG file, the same bytes every time."""
        file = io.BytesIO()
        self._image.reduce(_SCALE).save(file, "PNG", compress_level=6)
        return file.getvalue()

    def text(
        self,
        at: Point,
        text: str,
        *,
        size: int = 34,
        weight: int = 400,
        fill: str = INK,
        anchor: str = "la",
        mono: bool = False,
    ) -> None:
        """One line; anchor as Pillow has it (la: left and top, mm: middle, ra: right and top)."""
        font = _font(_MONO, size, None) if mono else _font(_INTER, size, weight)
        self._draw.text((at[0] * _SCALE, at[1] * _SCALE), text, font=font, fill=fill, anchor=anchor)

    def paragraph(
        self,
        at: Point,
        text: str,
        *,
        width: float,
        size: int = 34,
        weight: int = 400,
        fill: str = INK,
        anchor: str = "la",
    ) -> float:
        """Text wrapped at words; gives the height it took."""
        lines = self._wrapped(text, width, size, weight)
        step = size * 1.38
        for number, line in enumerate(lines):
            place = (at[0], at[1] + number * step)
            self.text(place, line, size=size, weight=weight, fill=fill, anchor=anchor)
        return len(lines) * step

    def rectangle(
        self, box: Box, *, fill: str, outline: str | None = None, radius: float = 0, width: int = 3
    ) -> None:
        """A filled rectangle with round corners of a radius."""
        self._draw.rounded_rectangle(
            [side * _SCALE for side in box],
            radius * _SCALE,
            fill=fill,
            outline=outline,
            width=width * _SCALE if outline else 0,
        )

    def disc(self, at: Point, radius: float, *, fill: str) -> None:
        """A filled circle."""
        x, y = at[0] * _SCALE, at[1] * _SCALE
        r = radius * _SCALE
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def line(self, points: Sequence[Point], *, fill: str, width: float = 3) -> None:
        """A line through points, with round joints."""
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(scaled, fill=fill, width=round(width * _SCALE), joint="curve")

    def arrow(self, start: Point, end: Point, *, fill: str = FAINT, width: float = 4) -> None:
        """A straight arrow."""
        angle = math.atan2(end[1] - start[1], end[0] - start[0])
        neck = (end[0] - 16 * math.cos(angle), end[1] - 16 * math.sin(angle))
        self.line([start, neck], fill=fill, width=width)
        tips = [
            (end[0] - 24 * math.cos(angle + turn), end[1] - 24 * math.sin(angle + turn))
            for turn in (-0.42, 0.42)
        ]
        scaled = [(x * _SCALE, y * _SCALE) for x, y in (end, *tips)]
        self._draw.polygon(scaled, fill=fill)

    def box(self, box: Box, head: str, text: str = "", *, tone: int = 0, size: int = 32) -> None:
        """A labelled box of a diagram: a heading and a line or more below it, centred."""
        self.rectangle(box, fill=TINTS[tone], outline=HUES[tone], radius=18)
        centre, width = (box[0] + box[2]) / 2, box[2] - box[0] - 40
        lines = self._wrapped(text, width, size - 6, 400) if text else []
        height = size * 1.2 + len(lines) * (size - 6) * 1.38 + (8 if lines else 0)
        y = (box[1] + box[3]) / 2 - height / 2
        self.text((centre, y), head, size=size, weight=700, anchor="ma")
        if text:
            below = (centre, y + size * 1.2 + 8)
            self.paragraph(below, text, width=width, size=size - 6, fill=GREY, anchor="ma")

    def _wrapped(self, text: str, width: float, size: int, weight: int) -> list[str]:
        font = _font(_INTER, size, weight)
        lines: list[str] = []
        for word in text.split(" "):
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and font.getlength(longer) <= width * _SCALE:
                lines[-1] = longer
            else:
                lines.append(word)
        return lines
