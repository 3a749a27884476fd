"""Walks every route of the app as those who must not get in; a new route is walked by itself.

What is open to everybody, or to everybody who is logged in, is listed here by name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from httpx2 import Response
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app import regenerations
from app.accounts import service
from app.models import Base, Import, Membership, SampleImage, Segment, Snapshot
from tests.http.conftest import World

# No log-in needed. (A wrong invitation is a 404; the API's description holds no data.)
PUBLIC = {
    "/login",
    "/logout",
    "/invitation/{token}",
    "/static/{version}/{path:path}",
    "/favicon.ico",
    "/healthz",
    "/readyz",
    # It has a bearer token of its own.
    "/metrics",
    "/api/v1/openapi.json",
    "/api/v1/docs",
}
# The actor's own affairs: the path names nobody else's object.
OWN = {
    "/",
    "/queue",
    "/queue/next",
    "/account",
    "/account/name",
    "/account/password",
    "/preferences",
}
# A member of the project may look at its samples and take one that is free.
MEMBER = {
    "/samples/{sample_id}",
    "/images/{sha256}/original",
    "/images/{sha256}/{width}.webp",
}
TAKE = "/samples/{sample_id}/draft"
# What the forms of the app send, whole, so that only the guard can be what refuses.
FORM = {
    "text": "changed",
    "mode": "keep",
    "base_version": "1",
    "side": "after",
    "at": "3",
    "image_index": "0",
    "segment_id": "1",
    "name": "changed",
    "title": "Changed",
    "role": "admin",
    "scopes": "pairs:read",
    "theme": "dark",
}
JSON = {"text": "changed", "typed_at_ms": 1}


@dataclass(frozen=True)
class Door:
    """A route with a method, and its address for the objects of the world."""

    method: str
    path: str
    address: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@pytest.fixture
def doors(app: FastAPI, world: World, db: Session) -> list[Door]:
    """All of them. Where a name stands for an object, it is one of the owner's."""
    segment = db.scalars(
        select(Segment).where(Segment.sample_id == world.sample.id, Segment.depth == 2)
    ).one()
    run = regenerations.request(
        db,
        draft=world.draft,
        anchor_id=segment.id,
        displaced_id=world.draft.head_id,
        displaced_depth=2,
    )
    service.create_token(db, user_id=world.trainer.id, name="x", scopes=["pairs:read"], days=1)
    snapshot = Snapshot(project_id=world.project.id, name="s", format="trl", template="qwen2.5-vl")
    imported = Import(
        project_id=world.project.id, source="s", upload="x", policy="imported", instruction="Write."
    )
    db.add_all((snapshot, imported))
    db.commit()
    known = {
        "draft_id": world.draft.id,
        "segment_id": segment.id,
        "regeneration_id": run.id,
        "sample_id": world.sample.id,
        "project_id": world.project.id,
        "project_name": world.project.name,
        "user_id": world.owner.id,
        "token_id": db.scalar(text("SELECT max(id) FROM api_tokens")),
        "sha256": db.scalars(select(SampleImage.sha256).limit(1)).one(),
        "width": 320,
        "pair_id": 1,
        "policy_id": db.scalar(text("SELECT max(id) FROM policies")),
        "snapshot_id": snapshot.id,
        "import_id": imported.id,
        "token": "x" * 43,
        "version": "x",
        "path": "x",
        "name": world.project.name,
    }
    found = []
    for route in iter_route_contexts(app.routes):
        assert route.path is not None
        address = re.sub(r"{(\w+)(:\w+)?}", lambda match: str(known[match[1]]), route.path)
        found += [Door(method, route.path, address) for method in sorted(route.methods or ())]
    assert len(found) > 60
    return found


def knock(client: TestClient, door: Door) -> Response | None:
    """The answer to a request with all that the route could want; None for one it cannot read."""
    if door.method in ("GET", "HEAD", "DELETE"):
        query = {"project": "x", "side": "after", "since": "1"} if door.method == "GET" else {}
        answers: Iterator[Response] = iter(
            [client.request(door.method, door.address, params=query)]
        )
    else:
        answers = (
            client.request(door.method, door.address, **body)
            for body in ({"data": FORM}, {"json": JSON}, {"data": FORM, "files": {"file": b"x"}})
        )
    return next((answer for answer in answers if answer.status_code != 422), None)


def open_doors(client: TestClient, doors: list[Door], *, refusals: set[int]) -> list[str]:
    """The doors that did not answer with one of these refusals."""
    wrong = []
    for door in doors:
        answer = knock(client, door)
        if answer is None or answer.status_code not in refusals:
            wrong.append(f"{door}: {answer.status_code if answer else 'always 422'}")
    return wrong


@pytest.fixture
def untouched(db: Session, doors: list[Door]) -> Iterator[None]:
    """Checks that the walk has changed no row of the tables of work."""
    before = _fingerprint(db)
    yield
    assert _fingerprint(db) == before


def _fingerprint(db: Session) -> dict[str, str]:
    aside = {"login_sessions", "login_failures", "audit_events"}
    tables = [table.name for table in Base.metadata.sorted_tables if table.name not in aside]
    row = "md5(count(*) || string_agg(t::text, ';' ORDER BY t::text))"
    return {name: str(db.scalar(text(f'SELECT {row} FROM "{name}" t'))) for name in tables}


def test_the_lists_of_open_doors_name_real_ones(doors: list[Door]) -> None:
    paths = {door.path for door in doors}
    assert paths >= PUBLIC | OWN | MEMBER | {TAKE}


@pytest.mark.usefixtures("untouched")
def test_nobody_gets_in_without_a_log_in(visitor: TestClient, doors: list[Door]) -> None:
    closed = [door for door in doors if door.path not in PUBLIC]
    assert open_doors(visitor, closed, refusals={303, 401}) == []
    for door in closed:
        answer = visitor.get(door.address) if door.method == "GET" else None
        if answer is not None and answer.status_code == 303:
            assert answer.headers["location"].startswith("/login?next=")


@pytest.mark.usefixtures("untouched")
def test_nobody_gets_in_with_a_log_in_that_is_over(expired: TestClient, doors: list[Door]) -> None:
    closed = [door for door in doors if door.path not in PUBLIC]
    assert open_doors(expired, closed, refusals={303, 401}) == []


@pytest.mark.usefixtures("untouched")
def test_a_stranger_to_the_project_finds_nothing(stranger: TestClient, doors: list[Door]) -> None:
    closed = [d for d in doors if d.path not in PUBLIC | OWN and not d.path.startswith("/api/")]
    assert open_doors(stranger, closed, refusals={403, 404}) == []


@pytest.mark.usefixtures("untouched")
def test_another_annotator_finds_no_draft_and_no_administration(
    other: TestClient, doors: list[Door]
) -> None:
    open_to_members = PUBLIC | OWN | MEMBER | {TAKE}
    closed = [d for d in doors if d.path not in open_to_members and not d.path.startswith("/api/")]
    assert open_doors(other, closed, refusals={403, 404}) == []
    takes = [door for door in doors if door.path == TAKE]
    assert open_doors(other, takes, refusals={409}) == []


@pytest.mark.usefixtures("untouched")
def test_who_left_the_project_has_left_the_draft_too(
    owner: TestClient, doors: list[Door], world: World, db: Session
) -> None:
    db.delete(db.get_one(Membership, (world.project.id, world.owner.id)))
    db.commit()
    drafts = [door for door in doors if door.path.startswith(("/drafts/", "/samples/", "/images/"))]
    assert open_doors(owner, drafts, refusals={404}) == []
    db.add(Membership(project_id=world.project.id, user_id=world.owner.id))
    db.commit()


@pytest.mark.usefixtures("untouched")
def test_a_trainer_of_the_project_takes_and_changes_no_draft(
    trainer: TestClient, doors: list[Door]
) -> None:
    drafts = [door for door in doors if door.path.startswith("/drafts/") or door.path == TAKE]
    assert open_doors(trainer, drafts, refusals={403, 404}) == []


@pytest.mark.usefixtures("untouched")
def test_an_admin_reads_a_draft_and_changes_nothing_in_it(
    admin: TestClient, doors: list[Door], world: World
) -> None:
    assert admin.get(f"/drafts/{world.draft.id}").status_code == 200
    # The live comparison only computes.
    changing = [
        door
        for door in doors
        if door.path.startswith("/drafts/")
        and door.method != "GET"
        and not door.path.endswith("/diff")
    ]
    assert open_doors(admin, changing, refusals={403}) == []


@pytest.mark.usefixtures("untouched")
def test_the_api_takes_no_cookie(admin: TestClient, doors: list[Door]) -> None:
    api = [door for door in doors if door.path.startswith("/api/") and door.path not in PUBLIC]
    assert api
    assert open_doors(admin, api, refusals={401}) == []
