"""What is logged of a request, and what never is."""

import pytest
from starlette.testclient import TestClient


def test_a_request_is_one_line_with_its_id_and_no_secret(
    visitor: TestClient, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    secret = "s" * 43
    answer = visitor.get(f"/invitation/{secret}?next=private")
    visitor.post("/login", data={"name": "berta", "password": "hunter2-secret"})
    written = capfd.readouterr().err + caplog.text
    assert answer.headers["x-request-id"] in written
    assert "/invitation/…" in written
    for hidden in (secret, "private", "hunter2-secret"):
        assert hidden not in written


def test_health_checks_are_not_logged(
    visitor: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    visitor.get("/healthz")
    assert "healthz" not in caplog.text
