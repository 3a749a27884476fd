"""What users change about themselves, and their API tokens."""

import re

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.accounts import service
from app.models import ApiToken, User, now
from tests.http.conftest import Browse, World

OLD, NEW = "correct horse battery", "staple battery horse"


@pytest.fixture
def with_password(db: Session, world: World) -> None:
    """The owner has the password OLD."""
    service.set_password(db, user_id=world.owner.id, password=OLD)
    db.commit()


def change(client: TestClient, old: str, new: str, repeated: str) -> tuple[int, str]:
    answer = client.post(
        "/account/password",
        data={"old_password": old, "password": new, "repeated": repeated},
    )
    return answer.status_code, answer.text


@pytest.mark.usefixtures("with_password")
def test_a_new_password_ends_the_other_log_ins(
    owner: TestClient, browse: Browse, world: World
) -> None:
    phone = browse(world.owner)
    assert change(owner, OLD, NEW, NEW)[0] == 303
    assert owner.get("/account").status_code == 200
    assert phone.get("/account").status_code == 303


@pytest.mark.usefixtures("with_password")
@pytest.mark.parametrize(
    ("old", "new", "repeated", "field"),
    [
        ("wrong", NEW, NEW, "old-password-error"),
        (OLD, "short", "short", "password-error"),
        (OLD, NEW, "other", "repeated-error"),
    ],
)
def test_what_is_wrong_with_a_password_stands_at_its_field(
    owner: TestClient, old: str, new: str, repeated: str, field: str
) -> None:
    status, text = change(owner, old, new, repeated)
    assert status == 422
    assert f'id="{field}"' in text
    assert NEW not in text


def test_the_name_that_others_see_can_be_any_text(
    owner: TestClient, world: World, db: Session
) -> None:
    assert owner.post("/account/name", data={"display_name": "  李  雷 <b> "}).status_code == 303
    db.refresh(world.owner)
    assert world.owner.display_name == "李 雷 <b>"
    assert "李 雷 &lt;b&gt;" in owner.get("/account").text


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\0b", "a\u202eb"])
def test_a_name_that_nobody_could_read_is_refused(owner: TestClient, name: str) -> None:
    answer = owner.post("/account/name", data={"display_name": name})
    assert answer.status_code == 422
    assert 'id="display-name-error"' in answer.text


def test_preferences_are_kept_one_by_one(owner: TestClient, world: World, db: Session) -> None:
    assert owner.put("/preferences", json={"split": 45}).status_code == 204
    answer = owner.put("/preferences", json={"theme": "dark"})
    assert "theme=dark" in answer.headers["set-cookie"]
    db.refresh(world.owner)
    assert world.owner.preferences == {"split": 45, "theme": "dark"}
    assert 'data-theme="dark"' in owner.get("/account").text


def test_the_form_of_preferences_can_switch_letters_off(
    owner: TestClient, world: World, db: Session
) -> None:
    answer = owner.post("/preferences", data={"theme": "system"})
    assert answer.headers["location"] == "/account?done=preferences"
    db.refresh(world.owner)
    assert world.owner.preferences["letters"] is False
    assert "data-theme=" not in owner.get("/account").text


@pytest.mark.parametrize(
    "body", [{"split": 99}, {"unknown": 1}, {"theme": "pink"}, {"locale": "xx"}]
)
def test_preferences_that_nobody_knows_are_refused(
    owner: TestClient, body: dict[str, object]
) -> None:
    answer = owner.put("/preferences", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == next(iter(body))


def make_token(client: TestClient, **fields: str) -> str:
    form = {"name": "nightly run", "scopes": "pairs:read", "days": "30"} | fields
    answer = client.post("/tokens", data=form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    token = re.search(r"idp_[\w-]{43}", answer.text)
    assert token
    return token[0]


def test_a_token_is_shown_once_and_kept_as_a_hash(trainer: TestClient, db: Session) -> None:
    token = make_token(trainer)
    page = trainer.get("/tokens").text
    assert token not in page
    assert "nightly run" in page
    row = db.scalars(select(ApiToken)).one()
    assert token.encode() not in row.token_hash
    assert row.hint == f"{token[:7]}…{token[-4:]}"


def test_annotators_have_no_tokens(owner: TestClient) -> None:
    assert owner.get("/tokens").status_code == 403
    assert owner.post("/tokens", data={"name": "x", "scopes": "pairs:read"}).status_code == 403


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", "x" * 101), ("scopes", "admin:all"), ("days", "x"), ("days", "99999")],
)
def test_a_token_that_makes_no_sense_is_refused(
    trainer: TestClient, field: str, value: str
) -> None:
    form = {"name": "nightly run", "scopes": "pairs:read", "days": "30", field: value}
    assert trainer.post("/tokens", data=form).status_code == 422


def test_only_its_owner_and_admins_can_revoke_a_token(
    trainer: TestClient, admin: TestClient, browse: Browse, world: World, db: Session
) -> None:
    make_token(trainer)
    token_id = db.scalars(select(ApiToken.id)).one()
    path = f"/tokens/{token_id}/revocation"
    assert browse(world.other).post(path).status_code == 404
    assert trainer.post(path).status_code == 303
    assert admin.post(path).status_code == 303
    db.expire_all()
    assert db.scalars(select(ApiToken.revoked_at)).one() is not None


def test_a_token_of_the_disabled_is_listed_as_ended_only_when_revoked(
    trainer: TestClient, db: Session
) -> None:
    make_token(trainer)
    db.execute(update(ApiToken).values(expires_at=now()))
    db.commit()
    assert "not valid" in trainer.get("/tokens").text


def test_names_of_tokens_are_text_and_never_markup(trainer: TestClient) -> None:
    make_token(trainer, name="<script>alert(1)</script>")
    assert "<script>alert" not in trainer.get("/tokens").text


def test_an_account_without_password_cannot_change_it_by_guessing_none(
    owner: TestClient, world: World, db: Session
) -> None:
    assert db.get_one(User, world.owner.id).password_hash is None
    assert change(owner, "", NEW, NEW)[0] == 422
