"""Images that a trainer would clip to white: those of 16 bits a channel, as scans have them.

datasets and transformers turn an image upright and put it on white; what is above 255 is white to
them. An export for TRL has such an image made again already (the application does that).
"""

import os
import tempfile
from pathlib import Path

from PIL import Image


def readable(path: Path) -> Path:
    """The image itself, or a PNG of 8 bits beside it for one of 16; it is made once."""
    with Image.open(path) as opened:
        if not opened.mode.startswith(("I", "F")):
            return path
        made = path.with_name(f"{path.stem}-8-bits.png")
        if not made.is_file():
            # Divided, where a plain conversion would clip.
            grey = opened.convert("I").point(lambda value: value * (1 / 256)).convert("L")
            _write(made, grey)
    return made


def _write(path: Path, image: Image.Image) -> None:
    handle, name = tempfile.mkstemp(prefix=".", suffix=".png", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        image.save(file, "PNG")
    Path(name).replace(path)
