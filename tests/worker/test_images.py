"""An engine gets the images byte for byte as they were imported."""

import io
from pathlib import Path

import pytest
from PIL import Image as Pillow

from app.images.store import ImageStore
from app.models import Image
from app.refusals import NotFound
from tests.worker.conftest import Studio
from worker.images import StoredImages


def test_images_come_as_they_are_stored(studio: Studio, tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images")
    buffer = io.BytesIO()
    Pillow.new("RGB", (64, 48), "red").save(buffer, "JPEG")
    facts = store.add(buffer.getvalue()).facts
    with studio.sessions.begin() as db:
        db.add(
            Image(
                sha256=facts.sha256,
                format=facts.format,
                width=facts.width,
                height=facts.height,
                size=facts.size,
            )
        )
    images = StoredImages(studio.sessions, store)
    image = images(facts.sha256)
    assert (image.data, image.media_type) == (buffer.getvalue(), "image/jpeg")
    with pytest.raises(NotFound):
        images("0" * 64)
    store.remove(facts.sha256, facts.format)
    with pytest.raises(NotFound, match="missing from the image store"):
        images(facts.sha256)
