"""What all tests of this engine have in common."""

import pytest

from worker import process


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds are what people wait for, not tests."""
    monkeypatch.setattr(process, "_RETRY_S", 0.02)
    monkeypatch.setattr(process, "_FIRST_PAUSE_S", 0.02)
