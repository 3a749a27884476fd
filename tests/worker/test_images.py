"""An engine gets the pixels that the annotator sees, however its server reads a file."""

import io
from pathlib import Path

import pytest
from PIL import Image as Pillow

from app.images.store import ImageStore
from app.models import Image
from app.refusals import NotFound
from tests.db.test_exported_pixels import EVERY, PLAIN, far_apart
from tests.worker.conftest import Studio
from worker.images import StoredImages


def test_plain_images_come_as_they_are_stored(studio: Studio, tmp_path: Path) -> None:
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


def as_a_server_reads(data: bytes) -> Pillow.Image:
    """A server that opens it with Pillow and converts it to RGB, and nothing else: the least."""
    return Pillow.open(io.BytesIO(data)).convert("RGB")


@pytest.mark.parametrize("name", EVERY)
def test_a_server_sees_what_the_annotator_sees(studio: Studio, tmp_path: Path, name: str) -> None:
    store = ImageStore(tmp_path / "images")
    given = EVERY[name]()
    facts = store.add(given).facts
    with studio.sessions.begin() as db:
        db.merge(
            Image(
                sha256=facts.sha256,
                format=facts.format,
                width=facts.width,
                height=facts.height,
                size=facts.size,
            )
        )
    images = StoredImages(studio.sessions, store)
    sent = images(facts.sha256)
    # What the page shows: the smallest rendition, which is not enlarged.
    page = Pillow.open(store.rendition(facts.sha256, facts.format, 320))
    assert far_apart(page, as_a_server_reads(sent.data)) < 8
    assert sent.media_type == f"image/{Pillow.open(io.BytesIO(sent.data)).format}".lower()
    if name in PLAIN:
        assert sent.data == given
    # The same bytes every time: a server that caches by them knows the image again.
    assert images(facts.sha256).data == sent.data
