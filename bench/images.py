"""What importing images costs: slides and photographs of 1600 x 900, into a store, no database.

python -m bench.images --images 200
"""

import argparse
import io
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from app.images.decoding import pool
from app.images.store import ImageStore
from bench.figures import machine
from bench.material import write_lectures


def main() -> None:
    """Add every image once and once more, and print what one costs."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--images", type=int, default=200)
    asked = words.parse_args()
    print(f"Images, {machine()}")
    with tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch:
        folder = Path(scratch)
        write_lectures(folder, samples=1, segments=1, images=10)
        slides = [path.read_bytes() for path in sorted(folder.rglob("*.png"))]
        for name, files in (
            ("slides", [_slide(slides[at % len(slides)], at) for at in range(asked.images)]),
            ("photographs", [_photograph(at) for at in range(asked.images)]),
        ):
            store = ImageStore(folder / name)
            for what in ("first", "again"):
                began, cpu = time.perf_counter(), _cpu()
                with ThreadPoolExecutor(pool.size() + 2) as threads:
                    new = sum(stored.is_new for stored in threads.map(store.add, files))
                passed = time.perf_counter() - began
                pool.close()  # Only what has ended is counted with its parent.
                each = 1000 * (_cpu() - cpu) / len(files)
                print(
                    f"{name}, {what}: {each:.0f} ms of CPU an image, {passed:.1f} s, "
                    f"{new} of {len(files)} new, {sum(map(len, files)) / 1e6:.0f} MB"
                )


def _slide(data: bytes, number: int) -> bytes:
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((1600, 900))
    image.putpixel((number, 0), (1, 2, 3))
    return _file(image, "PNG")


def _photograph(number: int) -> bytes:
    image = Image.effect_noise((400, 225), 60 + number % 20).resize((1600, 900))
    return _file(Image.merge("RGB", (image, image.rotate(90), image.rotate(180))), "JPEG")


def _file(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
