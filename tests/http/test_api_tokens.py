"""Which bearer tokens open the API, and how far."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.accounts import service
from app.models import ApiToken, Role, User, now
from tests.http.conftest import World
from tests.support.factories import add_project


def token_of(db: Session, user: User, scopes: Sequence[str] = ("pairs:read",)) -> str:
    """A token of the user's."""
    token = service.create_token(db, user_id=user.id, name="script", scopes=scopes, days=30)
    db.commit()
    return token


def ask(client: TestClient, token: str, project: str) -> int:
    answer = client.get(
        "/api/v1/pairs",
        params={"project": project},
        headers={"Authorization": f"Bearer {token}", "Accept": "*/*"},
    )
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code


def test_a_trainer_reads_the_pairs_of_own_projects_only(
    visitor: TestClient, world: World, db: Session
) -> None:
    token = token_of(db, world.trainer)
    foreign = add_project(db)
    db.commit()
    assert ask(visitor, token, world.project.name) == 200
    assert ask(visitor, token, foreign.name) == 404
    assert ask(visitor, token, "no-such-project") == 404


def test_an_admin_reads_those_of_every_project(
    visitor: TestClient, world: World, db: Session
) -> None:
    assert ask(visitor, token_of(db, world.admin), world.project.name) == 200


def test_a_token_without_the_scope_is_refused(
    visitor: TestClient, world: World, db: Session
) -> None:
    token = token_of(db, world.trainer, ["projects:read"])
    assert ask(visitor, token, world.project.name) == 403


@pytest.mark.parametrize(
    "change",
    [{"revoked_at": now()}, {"expires_at": now() - timedelta(seconds=1)}],
    ids=["revoked", "expired"],
)
def test_a_token_that_is_over_is_refused(
    visitor: TestClient, world: World, db: Session, change: dict[str, object]
) -> None:
    token = token_of(db, world.trainer)
    db.execute(update(ApiToken).values(change))
    db.commit()
    assert ask(visitor, token, world.project.name) == 401


@pytest.mark.parametrize("token", ["", "idp_", "idp_" + "x" * 43, "x" * 47, "idp_ümläut"])
def test_a_token_that_nobody_made_is_refused(visitor: TestClient, world: World, token: str) -> None:
    answer = visitor.get(
        "/api/v1/pairs",
        params={"project": world.project.name},
        headers=[(b"authorization", f"Bearer {token}".encode())],
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_disabling_an_account_stops_its_tokens(
    visitor: TestClient, world: World, db: Session
) -> None:
    token = token_of(db, world.trainer)
    service.disable(db, user_id=world.trainer.id)
    db.commit()
    assert ask(visitor, token, world.project.name) == 401


def test_a_trainer_who_becomes_an_annotator_loses_the_api(
    visitor: TestClient, world: World, db: Session
) -> None:
    token = token_of(db, world.trainer)
    db.execute(update(User).where(User.id == world.trainer.id).values(role=Role.ANNOTATOR))
    db.commit()
    assert ask(visitor, token, world.project.name) == 403


def test_a_token_opens_no_page(visitor: TestClient, world: World, db: Session) -> None:
    token = token_of(db, world.admin)
    answer = visitor.get("/people", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 303


def test_the_last_use_of_a_token_is_kept(visitor: TestClient, world: World, db: Session) -> None:
    token = token_of(db, world.trainer)
    ask(visitor, token, world.project.name)
    db.expire_all()
    assert db.scalars(select(ApiToken.last_used_at)).one() is not None
