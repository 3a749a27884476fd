"""Policies over REST: who may add one, that adding is idempotent and a name means one thing."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.accounts import service as accounts
from app.models import AuditEvent, Policy, User
from tests.http.conftest import World
from tests.support.factories import add_project

Add = Callable[..., Response]
BOTH = ("policies:read", "policies:write")


@pytest.fixture
def add(visitor: TestClient, world: World, db: Session) -> Add:
    """Sends an adapter as the world's trainer; fields replace those of a good one."""

    def send(user: User | None = None, scopes: Sequence[str] = BOTH, **fields: object) -> Response:
        body = {
            "name": "lectures-round1",
            "project": world.project.name,
            "base_model": "Qwen/Qwen2.5-VL-7B-Instruct",
            "revision": "main",
            "adapter": "/srv/adapters/round1",
            "adapter_hash": "a" * 64,
        }
        return visitor.post(
            "/api/v1/policies",
            json=body | fields,
            headers=bearer(db, user or world.trainer, scopes),
        )

    return send


def bearer(db: Session, user: User, scopes: Sequence[str]) -> dict[str, str]:
    token = accounts.create_token(db, user_id=user.id, name="t", scopes=scopes, days=1)
    db.commit()
    return {"Authorization": f"Bearer {token}", "Accept": "application/json"}


def listed(visitor: TestClient, db: Session, user: User) -> list[dict[str, Any]]:
    answer = visitor.get("/api/v1/policies", headers=bearer(db, user, ["policies:read"]))
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["policies"]
    return found


def test_a_trainer_adds_an_adapter_and_finds_it(
    add: Add, visitor: TestClient, world: World, db: Session
) -> None:
    answer = add()
    assert answer.status_code == 201
    policy = answer.json()
    assert policy["engine"] == "openai"
    assert policy["adapter"] == "/srv/adapters/round1"
    assert policy["adapter_hash"] == "a" * 64
    assert policy["round"] == 1
    assert listed(visitor, db, world.trainer)[0] == policy
    event = db.scalars(select(AuditEvent).where(AuditEvent.action == "trained_policy")).one()
    assert (event.actor_id, event.details) == (world.trainer.id, {"project": world.project.name})


def test_the_same_again_changes_nothing(add: Add, db: Session) -> None:
    first = add(round=1)
    again = add(round=1)
    assert again.status_code == 200
    assert again.json() == first.json()
    assert db.scalar(select(func.count()).where(Policy.name == "lectures-round1")) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"adapter_hash": "b" * 64},
        {"base_model": "other"},
        {"round": 7},
        {"adapter": "/srv/adapters/moved"},
        {"revision": "v2"},
    ],
    ids=str,
)
def test_a_name_stands_for_one_adapter(add: Add, fields: dict[str, object]) -> None:
    assert add(round=1).status_code == 201
    answer = add(**({"round": 1} | fields))
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert "already belongs to another adapter" in answer.json()["detail"]
    (value,) = fields.values()
    assert str(value) in answer.json()["detail"]


def test_the_next_round_follows_by_itself(add: Add) -> None:
    assert add().json()["round"] == 1
    assert add(name="lectures-round2", adapter_hash="b" * 64).json()["round"] == 2


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "a name"}, "name"),
        ({"name": ""}, "name"),
        ({"adapter": "relative"}, "adapter"),
        ({"adapter_hash": "xyz"}, "adapter_hash"),
        ({"base_model": ""}, "base_model"),
        ({"round": -1}, "round"),
        ({"rank": 3}, "rank"),
    ],
)
def test_a_wrong_field_is_named(add: Add, fields: dict[str, object], wrong: str) -> None:
    answer = add(**fields)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [wrong]


def test_only_for_projects_that_the_trainer_belongs_to(add: Add, world: World, db: Session) -> None:
    foreign = add_project(db)
    db.commit()
    assert add(project=foreign.name).status_code == 404
    assert add(project="no-such-project").status_code == 404
    assert add(world.admin, project=foreign.name).status_code == 201


@pytest.mark.parametrize("scopes", [["pairs:read"], ["policies:read"]])
def test_without_the_scope_nothing_is_added(add: Add, db: Session, scopes: list[str]) -> None:
    assert add(scopes=scopes).status_code == 403
    assert db.scalar(select(func.count()).where(Policy.name == "lectures-round1")) == 0


def test_the_list_needs_a_scope_of_its_own(visitor: TestClient, world: World, db: Session) -> None:
    for scope in ("pairs:read", "policies:write"):
        headers = bearer(db, world.trainer, [scope])
        assert visitor.get("/api/v1/policies", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ('{"name": "x",', "application/json", "no JSON: Expecting property name enclosed in"),
        ("", "application/json", "Field required"),
        ('{"name": "x"}', "application/x-www-form-urlencoded", "Content-Type: application/json"),
        ("[1]", "application/json", "A JSON object is needed"),
    ],
)
def test_a_body_that_cannot_be_read_is_told_what_is_wrong(
    visitor: TestClient, world: World, db: Session, body: str, kind: str, said: str
) -> None:
    headers = bearer(db, world.trainer, ["policies:write"]) | {"Content-Type": kind}
    answer = visitor.post("/api/v1/policies", content=body, headers=headers)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
