"""The app's figures: who may read them, what they say, and that nobody's data is in them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app import regenerations
from app.models import RunState
from app.regenerations.figures import queue_figures
from tests.http.conftest import World

TOKEN = "a-token-of-sixteen"


@dataclass(frozen=True)
class Scraper:
    """Prometheus, as far as the app sees it."""

    client: TestClient

    def figure(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels, 0 when there is none."""
        answer = self.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture
def scraper(app: FastAPI, visitor: TestClient) -> Iterator[Scraper]:
    """With the app's token set."""
    own = app.state.settings
    app.state.settings = own.model_copy(update={"metrics_token": SecretStr(TOKEN)})
    yield Scraper(visitor)
    app.state.settings = own


def test_nobody_reads_them_while_no_token_is_set(visitor: TestClient, admin: TestClient) -> None:
    for client in (visitor, admin):
        for token in ("", TOKEN):
            answer = client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401
            assert "iterdpo_" not in answer.text


@pytest.mark.usefixtures("scraper")
@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer a-token-of-sixteeN", "Basic eDp5", "é"])
def test_nobody_reads_them_with_another_token(visitor: TestClient, token: str) -> None:
    headers = {b"Authorization": token.encode()} if token else {}
    answer = visitor.get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_request_is_counted_by_its_route_and_not_by_its_address(
    scraper: Scraper, admin: TestClient, world: World
) -> None:
    def count(route: str, status: str) -> float:
        return scraper.figure(
            "iterdpo_request_seconds_count", route=route, status=status, method="GET"
        )

    routes = {
        "/projects/{project_id}/members": f"/projects/{world.project.id}/members",
        "/people/{user_id}": f"/people/{world.owner.id}",
        "/readyz": "/readyz",
    }
    before = {route: count(route, "2xx") for route in routes}
    lost = count("none", "4xx")
    for address in routes.values():
        assert admin.get(address).status_code == 200
    admin.get("/secret-name/of-a-project")
    assert {route: count(route, "2xx") - before[route] for route in routes} == dict.fromkeys(
        routes, 1.0
    )
    assert count("none", "4xx") == lost + 1
    said = scraper.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert "secret-name" not in said
    assert f"/{world.project.id}/" not in said


def test_a_stream_counts_as_open_until_it_ends(
    scraper: Scraper, owner: TestClient, world: World, db: Session
) -> None:
    run = regenerations.request(
        db,
        draft=world.draft,
        anchor_id=world.draft.head_id,
        displaced_id=world.draft.head_id,
        displaced_depth=4,
    )
    regenerations.cancel(db, draft_id=world.draft.id, regeneration_id=run.id)
    db.commit()
    route = "/drafts/{draft_id}/regenerations/{regeneration_id}/stream"
    before = scraper.figure("iterdpo_request_seconds_count", route=route)
    address = f"/drafts/{world.draft.id}/regenerations/{run.id}/stream"
    assert owner.get(address).status_code == 200
    assert scraper.figure("iterdpo_request_seconds_count", route=route) == before + 1
    assert scraper.figure("iterdpo_event_streams_open") == 0


def test_the_queue_is_counted_without_looking_at_what_has_ended(db: Session, world: World) -> None:
    connection = db.connection()
    assert queue_figures(connection).oldest_s == 0
    regenerations.request(
        db,
        draft=world.draft,
        anchor_id=world.draft.head_id,
        displaced_id=world.draft.head_id,
        displaced_depth=4,
    )
    db.execute(text("UPDATE regenerations SET queued_at = now() - interval '90 s'"))
    figures = queue_figures(connection)
    assert figures.counts[RunState.QUEUED] == 1
    assert figures.counts[RunState.RUNNING] == 0
    assert 90 <= figures.oldest_s < 120
    db.execute(text("SET LOCAL enable_seqscan = off"))
    plan = "\n".join(
        db.scalars(
            text(
                "EXPLAIN SELECT state, count(*) FROM regenerations "
                "WHERE state IN ('queued', 'running', 'waiting') GROUP BY state"
            )
        )
    )
    assert "uq_regenerations_live" in plan


def test_the_queue_is_asked_at_most_once_a_second(scraper: Scraper, app: FastAPI) -> None:
    scraper.figure("iterdpo_queue_oldest_seconds")
    counted = app.state.queue_counted_at
    own = app.state.engine
    app.state.engine = create_engine("postgresql+psycopg://nowhere.invalid/none")
    try:
        if time.monotonic() - counted < 0.5:
            scraper.figure("iterdpo_queue_oldest_seconds")
    finally:
        app.state.engine = own
    assert app.state.queue_counted_at == counted
