"""Adding people, their invitations and roles."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.accounts import service
from app.models import AuditEvent, Role, User, now
from app.security import SESSION_COOKIE
from tests.http.conftest import World

PASSWORD = "correct horse battery"


def add(admin: TestClient, name: str, **fields: str) -> str:
    """The path of the invitation that the page shows."""
    answer = admin.post("/people", data={"name": name, "role": "annotator"} | fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    link = re.search(r'value="http://testserver(/invitation/[\w-]{43})"', answer.text)
    assert link, answer.text
    return link[1]


def test_an_invited_person_sets_a_password_and_is_logged_in(
    admin: TestClient, visitor: TestClient, db: Session
) -> None:
    link = add(admin, "clara", display_name="Clara Schumann", role="trainer")
    assert "clara" in visitor.get(link).text
    answer = visitor.post(link, data={"password": PASSWORD, "repeated": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Clara Schumann" in visitor.get("/account").text
    assert db.scalars(select(User.role).where(User.name == "clara")).one() is Role.TRAINER


def test_an_invitation_works_once(admin: TestClient, visitor: TestClient) -> None:
    link = add(admin, "clara")
    passwords = {"password": PASSWORD, "repeated": PASSWORD}
    visitor.post(link, data=passwords)
    visitor.cookies.clear()
    assert visitor.get(link).status_code == 404
    assert visitor.post(link, data=passwords).status_code == 404


def test_an_invitation_is_shown_only_once(admin: TestClient) -> None:
    add(admin, "clara")
    assert "/invitation/" not in admin.get("/people").text


def test_an_old_invitation_does_not_work(
    admin: TestClient, visitor: TestClient, db: Session
) -> None:
    link = add(admin, "clara")
    db.execute(update(User).values(invitation_expires_at=now() - timedelta(seconds=1)))
    db.commit()
    assert visitor.get(link).status_code == 404


def test_a_new_invitation_replaces_the_old_one(
    admin: TestClient, visitor: TestClient, db: Session
) -> None:
    link = add(admin, "clara")
    user_id = db.scalars(select(User.id).where(User.name == "clara")).one()
    answer = admin.post(f"/people/{user_id}/invitation")
    assert "/invitation/" in answer.text
    assert visitor.get(link).status_code == 404


def test_setting_a_new_password_ends_the_older_log_ins(
    db: Session, owner: TestClient, visitor: TestClient, world: World
) -> None:
    invitation = service.invite(db, user_id=world.owner.id)
    db.commit()
    assert owner.get("/account").status_code == 200
    visitor.post(
        f"/invitation/{invitation.secret}", data={"password": PASSWORD, "repeated": PASSWORD}
    )
    assert owner.get("/account").status_code == 303
    assert visitor.get("/account").status_code == 200


def test_a_password_set_otherwise_ends_an_open_invitation(
    visitor: TestClient, world: World, db: Session
) -> None:
    invitation = service.invite(db, user_id=world.owner.id)
    service.set_password(db, user_id=world.owner.id, password=PASSWORD)
    db.commit()
    assert visitor.get(f"/invitation/{invitation.secret}").status_code == 404


@pytest.mark.parametrize(
    ("password", "repeated", "fault"),
    [
        ("short", "short", "at least 10 characters"),
        (PASSWORD, "another", "do not match"),
        ("x" * 257, "x" * 257, "at most 256"),
    ],
)
def test_a_bad_password_is_refused_and_the_invitation_stays(
    admin: TestClient, visitor: TestClient, password: str, repeated: str, fault: str
) -> None:
    link = add(admin, "clara")
    answer = visitor.post(link, data={"password": password, "repeated": repeated})
    assert answer.status_code == 422
    assert fault in answer.text
    assert password not in answer.text
    assert SESSION_COOKIE not in visitor.cookies
    assert visitor.get(link).status_code == 200


@pytest.mark.parametrize("name", ["", "two words", "slash/", "ünicode", "x" * 65, "<b>", "nul\0"])
def test_a_name_that_cannot_be_used_is_refused_at_its_field(admin: TestClient, name: str) -> None:
    answer = admin.post("/people", data={"name": name, "role": "annotator"})
    assert answer.status_code == 422
    assert 'id="name-error"' in answer.text


def test_a_name_can_be_given_only_once_whatever_its_case(admin: TestClient) -> None:
    add(admin, "clara")
    answer = admin.post("/people", data={"name": "Clara", "role": "annotator"})
    assert answer.status_code == 422
    assert "already" in answer.text


def test_a_role_must_be_one_of_the_three(admin: TestClient) -> None:
    answer = admin.post("/people", data={"name": "clara", "role": "root"})
    assert answer.status_code == 422
    assert 'id="role-error"' in answer.text


def test_nobody_but_an_admin_can_add_people_or_give_roles(
    owner: TestClient, trainer: TestClient, world: World
) -> None:
    for client in (owner, trainer):
        assert client.get("/people").status_code == 403
        assert client.post("/people", data={"name": "eve", "role": "admin"}).status_code == 403
        for noun in ("role", "invitation", "disablement", "enablement"):
            answer = client.post(f"/people/{world.owner.id}/{noun}", data={"role": "admin"})
            assert answer.status_code == 403


def test_an_admin_changes_roles_and_disables_and_enables(
    admin: TestClient, world: World, db: Session
) -> None:
    path = f"/people/{world.other.id}"
    assert admin.post(f"{path}/role", data={"role": "trainer"}).status_code == 303
    assert admin.post(f"{path}/disablement").status_code == 303
    db.refresh(world.other)
    assert world.other.role is Role.TRAINER
    assert world.other.disabled_at is not None
    assert admin.post(f"{path}/invitation").status_code == 409
    assert admin.post(f"{path}/enablement").status_code == 303
    db.refresh(world.other)
    assert world.other.disabled_at is None


def test_an_admin_cannot_shut_out_oneself(admin: TestClient, world: World) -> None:
    path = f"/people/{world.admin.id}"
    assert admin.post(f"{path}/disablement").status_code == 409
    assert admin.post(f"{path}/role", data={"role": "trainer"}).status_code == 409


def test_who_does_not_exist_is_not_found(admin: TestClient) -> None:
    for number in ("0", "-1", "99999999", "99999999999999999999", "x"):
        assert admin.post(f"/people/{number}/disablement").status_code == 404


def test_names_are_text_and_never_markup(admin: TestClient, db: Session, world: World) -> None:
    evil = "<script>alert(1)</script>\"'&"
    world.other.display_name = evil
    db.commit()
    add(admin, "clara", display_name="<img src=x onerror=alert(1)>")
    page = admin.get("/people").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_changes_of_people_are_recorded_with_who_made_them(
    admin: TestClient, world: World, db: Session
) -> None:
    add(admin, "clara")
    admin.post(f"/people/{world.other.id}/disablement")
    events = db.execute(
        select(AuditEvent.actor_id, AuditEvent.action).order_by(AuditEvent.id)
    ).all()
    assert [tuple(event) for event in events[-2:]] == [
        (world.admin.id, "added_user"),
        (world.admin.id, "disabled"),
    ]
