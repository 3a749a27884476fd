"""Samples to measure with: lectures of so many slides, as a JSON Lines file with shared images."""

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

PROSE = """the model reads each slide and explains how attention weights relate tokens across images
while gradients flow through layers that were frozen before training began again with new data so
that students see why loss falls when context grows and rewards become sparse"""


def write_lectures(
    folder: Path,
    *,
    samples: int,
    segments: int,
    images: int,
    words: int = 110,
    places: int | None = None,
) -> Path:
    """lectures.jsonl in `folder`: that many samples of as many slides, sharing so many images.

    places: how many images a sample has; None: one for each slide.
    """
    rng = random.Random(7)
    places = segments if places is None else places
    names = [_draw_slide(folder, number) for number in range(1, images + 1)]
    file = folder / "lectures.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for sample in range(samples):
            slides = [
                f"## Slide {number}\n{sentences(rng, words)}" for number in range(1, segments + 1)
            ]
            row = {
                "id": f"lecture-{sample:06}",
                "instruction": "Write a lecture script for these slides, slide by slide.",
                "images": [names[number % len(names)] for number in range(places)],
                "output": "\n\n".join(slides),
            }
            out.write(json.dumps(row) + "\n")
    return file


def _draw_slide(folder: Path, number: int) -> str:
    rng = random.Random(number)
    image = Image.new("RGB", (1280, 720), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = rng.randrange(1200), rng.randrange(680)
        colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        draw.rectangle((x, y, x + rng.randrange(20, 300), y + rng.randrange(4, 60)), fill=colour)
    name = f"slide-{number}.png"
    image.save(folder / name)
    return name


def sentences(rng: random.Random, words: int) -> str:
    """Prose of so many words, English-looking."""
    known = PROSE.split()
    text = [rng.choice(known) for _ in range(words)]
    for start in range(0, words, 14):
        text[start] = text[start].capitalize()
    for end in range(13, words, 14):
        text[end] += "."
    return " ".join(text).rstrip(".") + "."
