"""Draws a slide from its description in app/demo_data: text, charts, tables, code, diagrams."""

from collections.abc import Callable, Mapping
from typing import Any

from app.demo.canvas import (
    FAINT,
    GREY,
    HEIGHT,
    HUES,
    INK,
    LINE,
    TINTS,
    WASH,
    WHITE,
    WIDTH,
    Canvas,
    Point,
)

Slide = Mapping[str, Any]

LEFT, TOP, RIGHT = 110, 270, WIDTH - 110


def draw_slide(slide: Slide, *, deck: str, number: int, count: int) -> bytes:
    """The slide as a PNG file. deck: its name, for the footer; number: from 1, of count.

    Raises KeyError when the description's kind is unknown or it lacks a part.
    """
    if slide["kind"] == "title":
        return _title(slide).png()
    canvas = _page(slide, deck, number, count)
    _KINDS[slide["kind"]](canvas, slide)
    return canvas.png()


def _title(slide: Slide) -> Canvas:
    canvas = Canvas("#10203f")
    canvas.disc((1700, 180), 520, fill="#152a52")
    canvas.disc((1820, 60), 330, fill="#1b3668")
    canvas.rectangle((0, HEIGHT - 16, WIDTH, HEIGHT), fill=HUES[1])
    canvas.rectangle((140, 300, 260, 310), fill=HUES[1])
    height = canvas.paragraph(
        (140, 360), slide["title"], width=1300, size=88, weight=750, fill=WHITE
    )
    if subtitle := slide.get("subtitle"):
        canvas.paragraph((144, 390 + height), subtitle, width=1300, size=38, fill="#b9c6e4")
    canvas.text((144, 940), slide.get("note", ""), size=28, fill="#8fa2cc")
    return canvas


def _page(slide: Slide, deck: str, number: int, count: int) -> Canvas:
    canvas = Canvas()
    canvas.rectangle((0, 0, 18, HEIGHT), fill=HUES[0])
    canvas.text((LEFT, 70), slide["title"], size=56, weight=700)
    if subtitle := slide.get("subtitle"):
        canvas.text((LEFT + 2, 150), subtitle, size=30, fill=GREY)
    canvas.line([(LEFT, 216), (RIGHT, 216)], fill=LINE)
    canvas.text((LEFT, HEIGHT - 66), deck, size=24, fill=FAINT)
    canvas.text((RIGHT, HEIGHT - 66), f"{number} / {count}", size=24, fill=FAINT, anchor="ra")
    return canvas


def _bullets(canvas: Canvas, slide: Slide) -> None:
    aside = slide.get("aside")
    _points(canvas, slide["points"], (LEFT, TOP + 30), 1040 if aside else RIGHT - LEFT, size=38)
    if aside:
        canvas.rectangle((1330, 300, RIGHT, 900), fill=TINTS[0], radius=24)
        middle = (1330 + RIGHT) / 2
        canvas.text((middle, 480), aside["figure"], size=120, weight=800, fill=HUES[0], anchor="mm")
        canvas.paragraph((middle, 600), aside["text"], width=400, size=30, fill=GREY, anchor="ma")


def _points(
    canvas: Canvas, points: list[str], at: tuple[float, float], width: float, *, size: int = 32
) -> None:
    y = at[1]
    for point in points:
        canvas.disc((at[0] + 8, y + size * 0.62), 7, fill=HUES[0])
        y += canvas.paragraph((at[0] + 40, y), point, width=width - 40, size=size) + size * 0.7


def _columns(canvas: Canvas, slide: Slide) -> None:
    columns = slide["columns"]
    gap = 50
    width = (RIGHT - LEFT - gap * (len(columns) - 1)) / len(columns)
    for index, column in enumerate(columns):
        tone = column.get("tone", index)
        x = LEFT + index * (width + gap)
        canvas.rectangle((x, TOP, x + width, 960), fill=TINTS[tone], radius=24)
        canvas.rectangle((x, TOP, x + width, TOP + 12), fill=HUES[tone], radius=6)
        canvas.text((x + 44, TOP + 50), column["head"], size=40, weight=700, fill=HUES[tone])
        _points(canvas, column["points"], (x + 44, TOP + 140), width - 88, size=32)


def _cards(canvas: Canvas, slide: Slide) -> None:
    cards = slide["cards"]
    across = 2 if len(cards) in (2, 4) else 3
    rows = -(-len(cards) // across)
    gap = 40
    width = (RIGHT - LEFT - gap * (across - 1)) / across
    height = (960 - TOP - gap * (rows - 1)) / rows
    for index, card in enumerate(cards):
        x = LEFT + index % across * (width + gap)
        y = TOP + index // across * (height + gap)
        tone = index % len(HUES)
        canvas.rectangle((x, y, x + width, y + height), fill=WASH, outline=LINE, radius=20)
        canvas.rectangle((x, y + 34, x + 10, y + 34 + 60), fill=HUES[tone])
        canvas.text((x + 44, y + 40), card["head"], size=38, weight=700)
        canvas.paragraph((x + 44, y + 112), card["text"], width=width - 88, size=33, fill=GREY)


def _timeline(canvas: Canvas, slide: Slide) -> None:
    points = slide["points"]
    step = (RIGHT - LEFT) / len(points)
    canvas.line([(LEFT, 520), (RIGHT, 520)], fill=LINE, width=8)
    for index, point in enumerate(points):
        x, tone = LEFT + step * (index + 0.5), index % len(HUES)
        canvas.disc((x, 520), 26, fill=HUES[tone])
        canvas.disc((x, 520), 12, fill=WHITE)
        canvas.text((x, 410), point["when"], size=44, weight=750, fill=HUES[tone], anchor="ma")
        canvas.text((x, 580), point["head"], size=34, weight=650, anchor="ma")
        canvas.paragraph((x, 640), point["text"], width=step - 30, size=30, fill=GREY, anchor="ma")


def _bars(canvas: Canvas, slide: Slide) -> None:
    left, top, right, bottom = LEFT + 110, TOP + 50, 1290, 900
    top_value, values = slide["top"], slide["values"]
    for tick in range(6):
        y = bottom - (bottom - top) * tick / 5
        canvas.line([(left, y), (right, y)], fill="#e6eaf1", width=2)
        canvas.text((left - 20, y), f"{top_value * tick / 5:,.0f}", size=25, fill=GREY, anchor="rm")
    step = (right - left) / len(values)
    for index, (label, value) in enumerate(zip(slide["labels"], values, strict=True)):
        x, y = left + step * (index + 0.5), bottom - (bottom - top) * value / top_value
        half = step * 0.31
        hue = HUES[1] if index == slide.get("highlight") else HUES[0]
        canvas.rectangle((x - half, y, x + half, bottom), fill=hue, radius=8)
        figure = f"{value:,}{slide.get('unit', '')}"
        canvas.text((x, y - 14), figure, size=30, weight=700, anchor="md")
        canvas.text((x, bottom + 18), label, size=27, fill=GREY, anchor="ma")
    _points(canvas, slide["points"], (1370, TOP + 70), RIGHT - 1370)


def _lines(canvas: Canvas, slide: Slide) -> None:
    left, top, right, bottom = LEFT + 110, TOP + 60, 1380, 890
    top_value = slide["top"]
    canvas.text((left, top - 30), slide["y"], size=25, fill=GREY, anchor="ld")
    for tick in range(6):
        y = bottom - (bottom - top) * tick / 5
        canvas.line([(left, y), (right, y)], fill="#e6eaf1", width=2)
        canvas.text((left - 20, y), f"{top_value * tick / 5:g}", size=25, fill=GREY, anchor="rm")
    labels = slide["labels"]
    step = (right - left) / (len(labels) - 1)
    for index, label in enumerate(labels):
        canvas.text((left + step * index, bottom + 18), label, size=25, fill=GREY, anchor="ma")
    for tone, series in enumerate(slide["series"]):
        points = [
            (left + step * index, bottom - (bottom - top) * value / top_value)
            for index, value in enumerate(series["values"])
        ]
        canvas.line(points, fill=HUES[tone], width=6)
        for point in points:
            canvas.disc(point, 9, fill=HUES[tone])
        name = (right + 30, points[-1][1])
        canvas.text(name, series["name"], size=30, weight=700, fill=HUES[tone], anchor="lm")


def _table(canvas: Canvas, slide: Slide) -> None:
    columns, rows = slide["columns"], slide["rows"]
    height = min(92, (950 - TOP) / (len(rows) + 1))
    first = 0.4 if len(columns) > 2 else 0.6
    width = (RIGHT - LEFT) * (1 - first) / (len(columns) - 1)
    for index, row in enumerate([columns, *rows]):
        y = TOP + index * height
        head = index == 0
        if head or index - 1 == slide.get("highlight"):
            fill = TINTS[0] if head else TINTS[2]
            canvas.rectangle((LEFT, y, RIGHT, y + height), fill=fill)
        for column, cell in enumerate(row):
            place: Point = (LEFT + 36, y + height / 2)
            if column:
                place = (LEFT + (RIGHT - LEFT) * first + width * column - 36, y + height / 2)
            weight = 700 if head or column == 0 else 400
            anchor = "rm" if column else "lm"
            if column and slide.get("words"):
                x = LEFT + (RIGHT - LEFT) * first + width * (column - 1)
                place, anchor = (x, y + height / 2), "lm"
            canvas.text(place, cell, size=32, weight=weight, anchor=anchor)
        canvas.line([(LEFT, y + height), (RIGHT, y + height)], fill=LINE, width=2)


def _code(canvas: Canvas, slide: Slide) -> None:
    lines = slide["lines"]
    canvas.rectangle((LEFT, TOP, 1270, TOP + 90 + 62 * len(lines)), fill="#0f1729", radius=20)
    for index in range(3):
        canvas.disc((LEFT + 40 + index * 30, TOP + 36), 8, fill=HUES[(4, 1, 2)[index]])
    for index, line in enumerate(lines):
        y = TOP + 76 + index * 62
        fill = "#8fb4ff" if line.lstrip().startswith("#") else "#e2e9fb"
        canvas.text((LEFT + 40, y), line, size=31, fill=fill, mono=True)
    _points(canvas, slide["points"], (1350, TOP + 20), RIGHT - 1350)


def _flow(canvas: Canvas, slide: Slide) -> None:
    steps = slide["steps"]
    gap = 90
    width = (RIGHT - LEFT - gap * (len(steps) - 1)) / len(steps)
    for index, step in enumerate(steps):
        x, tone = LEFT + index * (width + gap), index % len(HUES)
        canvas.disc((x + width / 2, TOP + 60), 40, fill=HUES[tone])
        canvas.text(
            (x + width / 2, TOP + 60), str(index + 1), size=38, weight=750, fill=WHITE, anchor="mm"
        )
        canvas.box((x, 400, x + width, 700), step["head"], step["text"], tone=tone)
        if index:
            canvas.arrow((x - gap + 12, 550), (x - 12, 550))
    canvas.paragraph(
        (WIDTH / 2, 790), slide["caption"], width=1400, size=36, weight=600, anchor="ma"
    )


def _layers(canvas: Canvas, slide: Slide) -> None:
    layers = slide["layers"]
    height, gap = 96, 34
    for index, layer in enumerate(layers):
        # The input stands at the bottom, as papers draw it.
        y = 900 - (index + 1) * (height + gap) + gap
        box = (LEFT + 90, y, 1030, y + height)
        canvas.box(box, layer, tone=(0, 1, 2, 3, 4)[index % 5], size=32)
        if index:
            canvas.arrow((560, y + height + gap - 2), (560, y + height + 4))
    repeated = slide["repeated"]
    upper = 900 - (repeated[1] + 1) * (height + gap) + gap - 20
    lower = 900 - repeated[0] * (height + gap) + 16
    canvas.line([(1060, upper), (1090, upper), (1090, lower), (1060, lower)], fill=FAINT, width=4)
    canvas.text((1110, (upper + lower) / 2), "× N", size=40, weight=700, fill=GREY, anchor="lm")
    _points(canvas, slide["points"], (1260, TOP + 40), RIGHT - 1260)


def _next_word(canvas: Canvas, slide: Slide) -> None:
    canvas.rectangle((LEFT, TOP, RIGHT, TOP + 130), fill=WASH, outline=LINE, radius=20)
    canvas.text((LEFT + 44, TOP + 65), slide["prompt"], size=42, anchor="lm")
    for index, (word, share) in enumerate(slide["words"]):
        y = TOP + 190 + index * 92
        canvas.text((LEFT + 290, y + 32), word, size=34, weight=650, anchor="rm")
        length = 900 * share / 100
        hue = HUES[2] if index == 0 else HUES[0]
        canvas.rectangle((LEFT + 320, y, LEFT + 320 + max(16, length), y + 64), fill=hue, radius=8)
        label = (LEFT + 340 + max(16, length), y + 32)
        canvas.text(label, f"{share} %", size=30, fill=GREY, anchor="lm")
    _points(canvas, slide["points"], (1330, TOP + 200), RIGHT - 1330)


def _heat(canvas: Canvas, slide: Slide) -> None:
    left, top = LEFT + 190, TOP + 60
    width = (1420 - left) / len(slide["columns"])
    height = (940 - top) / len(slide["rows"])
    for column, name in enumerate(slide["columns"]):
        canvas.text(
            (left + width * (column + 0.5), top - 16), name, size=26, fill=GREY, anchor="md"
        )
    highest = max(value for _, values in slide["rows"] for value in values)
    for row, (name, values) in enumerate(slide["rows"]):
        y = top + height * row
        canvas.text((left - 24, y + height / 2), name, size=28, weight=650, anchor="rm")
        for column, value in enumerate(values):
            part = value / highest
            shade = tuple(round(238 - part * drop) for drop in (207, 143, 47))
            x = left + width * column
            fill = "#" + "".join(f"{channel:02x}" for channel in shade)
            canvas.rectangle((x + 3, y + 3, x + width - 3, y + height - 3), fill=fill, radius=6)
            ink = WHITE if part > 0.55 else INK
            canvas.text((x + width / 2, y + height / 2), f"{value}", size=28, fill=ink, anchor="mm")
    _points(canvas, slide["points"], (1480, TOP + 60), RIGHT - 1480, size=29)


_KINDS: dict[str, Callable[[Canvas, Slide], None]] = {
    "bullets": _bullets,
    "columns": _columns,
    "cards": _cards,
    "timeline": _timeline,
    "bars": _bars,
    "lines": _lines,
    "table": _table,
    "code": _code,
    "flow": _flow,
    "layers": _layers,
    "next_word": _next_word,
    "heat": _heat,
}
