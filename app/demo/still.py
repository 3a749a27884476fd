"""Draws a picture in the manner of a film still: a father and his son in the evening street."""

import io
import math
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1920, 1080
_HORIZON = 690
_SUN = (1180, 640)


def draw_still() -> bytes:
    """The picture as a PNG file, the same bytes every time."""
    image = _sky()
    image = _glow(image, _SUN, 620, (255, 176, 92))
    image = _glow(image, _SUN, 210, (255, 226, 170))
    draw = ImageDraw.Draw(image)
    chance = random.Random(7)  # noqa: S311 - the same skyline every time
    _skyline(draw, chance, base=_HORIZON, heights=(90, 230), fill=(122, 78, 92), lights=0.0)
    _skyline(draw, chance, base=_HORIZON + 40, heights=(170, 420), fill=(66, 45, 66), lights=0.10)
    image = _street(image)
    image = _figures(image)
    for x, y in ((250, 250), (1660, 300), (1480, 430)):
        image = _lamp(image, x, y)
    return _cinema(image)


def _sky() -> Image.Image:
    top, bottom = (38, 44, 84), (240, 150, 96)
    image = Image.new("RGB", (1, HEIGHT))
    for y in range(HEIGHT):
        part = min(1.0, y / _HORIZON) ** 1.4
        image.putpixel((0, y), _mix(top, bottom, part))
    return image.resize((WIDTH, HEIGHT))


def _skyline(
    draw: ImageDraw.ImageDraw,
    chance: random.Random,
    *,
    base: int,
    heights: tuple[int, int],
    fill: tuple[int, int, int],
    lights: float,
) -> None:
    x = -40
    while x < WIDTH:
        width = chance.randint(70, 190)
        # The street opens in the middle, where the sun stands.
        away = abs(x + width / 2 - _SUN[0]) / WIDTH
        height = chance.randint(*heights) * (0.35 + 1.4 * away)
        top = base - height
        draw.rectangle((x, top, x + width, HEIGHT), fill=fill)
        if chance.random() < 0.3:
            draw.line((x + width / 2, top - 50, x + width / 2, top), fill=fill, width=4)
        for wx in range(x + 14, x + width - 18, 26):
            for wy in range(int(top) + 18, base - 20, 34):
                if chance.random() < lights:
                    draw.rectangle((wx, wy, wx + 10, wy + 15), fill=(255, 206, 128))
        x += width + chance.randint(-6, 14)


def _street(image: Image.Image) -> Image.Image:
    ground = Image.new("RGB", image.size)
    for y in range(_HORIZON, HEIGHT):
        part = (y - _HORIZON) / (HEIGHT - _HORIZON)
        ImageDraw.Draw(ground).line((0, y, WIDTH, y), fill=_mix((112, 72, 76), (30, 26, 42), part))
    shape = Image.new("L", image.size)
    corners = [(1010, _HORIZON), (1350, _HORIZON), (WIDTH + 500, HEIGHT), (-500, HEIGHT)]
    ImageDraw.Draw(shape).polygon(corners, fill=255)
    image.paste(ground, mask=shape.filter(ImageFilter.GaussianBlur(2)))
    draw = ImageDraw.Draw(image)
    for step in range(9):
        near = (step / 9) ** 2
        along = _HORIZON + 12 + near * (HEIGHT - _HORIZON)
        mark = _SUN[0] - near * 330
        draw.polygon(
            [
                (mark - 3, along),
                (mark + 3, along),
                (mark - near * 60 + 14 * near, along + 12 + 60 * near),
                (mark - near * 60 - 14 * near, along + 12 + 60 * near),
            ],
            fill=(214, 160, 116),
        )
    return image


def _figures(image: Image.Image) -> Image.Image:
    """Two people from behind, hand in hand, and their shadows towards us."""
    scale = 3
    shape = Image.new("L", (WIDTH * scale // 2, HEIGHT * scale // 2))
    draw = ImageDraw.Draw(shape)
    man = _person(draw, 880, 890, 430, scale / 2, bag=True)
    boy = _person(draw, 1075, 890, 262, scale / 2, bag=False)
    _limb(draw, [man, ((man[0] + boy[0]) / 2, 745), boy], 25, scale / 2)
    shape = shape.resize(image.size, Image.Resampling.LANCZOS)
    shadow = shape.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    shadow = ImageChops.offset(shadow, 0, 2 * 890 - HEIGHT)
    shadow = shadow.transform(
        image.size, Image.Transform.AFFINE, (1, 0.28, -0.28 * 890, 0, 1.0, 0)
    ).filter(ImageFilter.GaussianBlur(5))
    ImageDraw.Draw(shadow).rectangle((0, 0, WIDTH, 886), fill=0)
    image.paste((18, 15, 26), mask=shadow.point(lambda value: value * 0.6))
    rim = ImageChops.offset(shape, 4, -2)
    image.paste((255, 190, 120), mask=ImageChops.subtract(rim, shape).point(lambda v: v * 0.7))
    image.paste((22, 19, 32), mask=shape)
    return image


def _person(
    draw: ImageDraw.ImageDraw, x: float, foot: float, height: float, scale: float, *, bag: bool
) -> tuple[float, float]:
    """A walking silhouette; gives the place of the shoulder that reaches to the other one."""
    unit = height / 100
    child = not bag
    head = 8.5 if child else 6.6
    _ellipse(draw, x, foot - (100 - head) * unit, head * unit, head * 1.15 * unit, scale)
    shoulder, hip = foot - (80 if child else 83) * unit, foot - 45 * unit
    wide = (11.5 if child else 12.5) * unit
    body = [
        (x - wide, shoulder + 3 * unit),
        (x - wide * 0.6, shoulder - 2 * unit),
        (x + wide * 0.6, shoulder - 2 * unit),
        (x + wide, shoulder + 3 * unit),
        (x + wide * 0.95, hip + 8 * unit),
        (x - wide * 0.95, hip + 8 * unit),
    ]
    draw.polygon([(px * scale, py * scale) for px, py in body], fill=255)
    _limb(draw, [(x, foot - 90 * unit), (x, shoulder)], 7 * unit, scale)
    thick = 8.4 * unit
    _limb(
        draw,
        [(x - 5 * unit, hip), (x - 7 * unit, foot - 24 * unit), (x - 6 * unit, foot)],
        thick,
        scale,
    )
    _limb(
        draw,
        [(x + 5 * unit, hip), (x + 9 * unit, foot - 25 * unit), (x + 12 * unit, foot - 5 * unit)],
        thick,
        scale,
    )
    _limb(draw, [(x - 7 * unit, foot), (x - 2 * unit, foot + unit)], 5 * unit, scale)
    outer = -1 if bag else 1
    hand = (x + outer * 16 * unit, foot - 42 * unit)
    _limb(
        draw,
        [
            (x + outer * wide * 0.85, shoulder + 4 * unit),
            (x + outer * 16 * unit, foot - 60 * unit),
            hand,
        ],
        6 * unit,
        scale,
    )
    if bag:
        left, top = hand[0] - 14 * unit, hand[1] + 2 * unit
        box = (left, top, left + 26 * unit, top + 19 * unit)
        draw.rounded_rectangle([side * scale for side in box], 8, fill=255)
    return x - outer * wide * 0.85, shoulder + 4 * unit


def _limb(
    draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], width: float, scale: float
) -> None:
    scaled = [(x * scale, y * scale) for x, y in points]
    draw.line(scaled, fill=255, width=round(width * scale), joint="curve")
    for x, y in scaled:
        r = width * scale / 2
        draw.ellipse((x - r, y - r, x + r, y + r), fill=255)


def _ellipse(
    draw: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float, scale: float
) -> None:
    draw.ellipse([(x - rx) * scale, (y - ry) * scale, (x + rx) * scale, (y + ry) * scale], fill=255)


def _lamp(image: Image.Image, x: int, y: int) -> Image.Image:
    foot = HEIGHT if y < 400 else 860
    side = 1 if x < WIDTH / 2 else -1
    draw = ImageDraw.Draw(image)
    draw.line((x, y, x, foot), fill=(20, 17, 30), width=9 if foot == HEIGHT else 6)
    draw.line((x, y, x + side * 80, y - 14), fill=(20, 17, 30), width=6)
    draw.ellipse((x + side * 80 - 22, y - 24, x + side * 80 + 22, y + 4), fill=(255, 236, 196))
    return _glow(image, (x + side * 80, y - 8), 130, (255, 196, 120))


def _glow(
    image: Image.Image, at: tuple[int, int], radius: int, colour: tuple[int, int, int]
) -> Image.Image:
    """Light around a point, strongest there, added to what is behind it."""
    small = 96
    light = Image.new("L", (small, small))
    for y in range(small):
        for x in range(small):
            away = math.hypot(x - small / 2 + 0.5, y - small / 2 + 0.5) / (small / 2)
            light.putpixel((x, y), round(255 * max(0.0, 1 - away) ** 2))
    light = light.resize((2 * radius, 2 * radius), Image.Resampling.BICUBIC)
    layer = Image.new("RGB", image.size)
    layer.paste(colour, (at[0] - radius, at[1] - radius), light)
    return ImageChops.screen(image, layer)


def _cinema(image: Image.Image) -> bytes:
    # 2.35 : 1, as films are shown.
    height = round(WIDTH / 2.35)
    upper = (HEIGHT - height) // 2
    file = io.BytesIO()
    image.crop((0, upper, WIDTH, upper + height)).save(file, "PNG", compress_level=6)
    return file.getvalue()


def _mix(
    first: tuple[int, int, int], second: tuple[int, int, int], part: float
) -> tuple[int, int, int]:
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue
