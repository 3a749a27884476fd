"""The real vLLM on a CPU, started once for all tests, with a tiny random vision-language model."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.vllm.serving import SLOTS, START_S, Running, serving
from tests.worker.conftest import studio
from worker.openai import ImageFile

__all__ = ["SLOTS", "Running", "studio"]

IMAGES: dict[str, ImageFile] = {}
for number in range(16):
    buffer = io.BytesIO()
    Image.new("RGB", (200 + number, 150), (number * 13, 40, 90)).save(buffer, "PNG")
    data = buffer.getvalue()
    IMAGES[hashlib.sha256(data).hexdigest()] = ImageFile(data, "image/png")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the server."""
    for item in items:
        own = item.get_closest_marker("timeout")
        if Path(__file__).parent in item.path.parents and own is None:
            item.add_marker(pytest.mark.timeout(START_S + 120))


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The server, serving. Its log is shown when it does not come."""
    with serving(tmp_path_factory.mktemp("records")) as server:
        yield server
