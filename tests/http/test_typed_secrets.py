"""What a refused form gives back: the text that was typed, and never a password."""

import re

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.settings import ROOT
from app.web.fields import fields_of
from tests.http.conftest import World

SECRET = "correct-horse-battery"
TEMPLATES = ROOT / "templates"
# Read on its own: every tag with a password in it, and the name beside that.
PASSWORDS = sorted(
    {
        name
        for path in TEMPLATES.rglob("*.html")
        for tag in re.findall(r"<input[^>]*password[^>]*>", path.read_text())
        for name in re.findall(r'\bname="(\w+)"', tag)
    }
)


def test_the_password_fields_of_the_templates_are_found() -> None:
    assert {"password", "old_password", "repeated"} <= set(PASSWORDS)
    assert fields_of(TEMPLATES).secrets == set(PASSWORDS)


def test_the_texts_of_people_are_found() -> None:
    texts = fields_of(TEMPLATES).texts
    assert {"text", "reason", "guidelines", "title", "display_name", "system"} <= texts
    assert not texts & {*PASSWORDS, "base_version", "segment_id", "next"}


@pytest.mark.parametrize("address", ["/account/password", "/account/name", "/nowhere", "/people"])
@pytest.mark.parametrize("name", PASSWORDS)
def test_no_password_comes_back_when_the_log_in_has_ended(
    expired: TestClient, name: str, address: str
) -> None:
    answer = expired.post(address, data={name: SECRET, "text": "What I typed."})
    assert answer.status_code in (401, 404)
    assert SECRET not in answer.text
    assert "What I typed." in answer.text


def test_a_field_that_no_form_has_is_not_given_back(expired: TestClient) -> None:
    answer = expired.post("/account/name", data={"passphrase": SECRET})
    assert (answer.status_code, SECRET in answer.text) == (401, False)


def test_the_whole_form_of_a_new_password_gives_nothing_back(
    expired: TestClient, owner: TestClient
) -> None:
    form = {"old_password": SECRET, "password": SECRET + "2", "repeated": SECRET + "3"}
    for browser, status in ((expired, 401), (owner, 422)):
        answer = browser.post("/account/password", data=form)
        assert (answer.status_code, SECRET in answer.text) == (status, False)


def test_text_that_is_given_back_is_kept_in_no_cache(
    expired: TestClient, owner: TestClient, admin: TestClient, world: World, db: Session
) -> None:
    """Whichever page it is: of an error, or the form again with what is wrong."""
    given_back = [
        expired.post("/account/name", data={"display_name": "Typed"}),
        owner.post("/account/name", data={"display_name": "Typed" * 50}),
        admin.post("/people", data={"name": "no name", "display_name": "Typed"}),
        owner.post("/login", data={"name": "Typed", "password": "wrong"}),
        expired.post("/nowhere", data={"text": "Typed"}),
    ]
    for answer in given_back:
        assert "typed" in answer.text.lower()
        assert answer.headers["cache-control"] == "no-store"
