"""What may stand in an address of the API: what its description names, each with a value."""

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.models import Sample
from tests.http.conftest import Make, World
from tests.support.pairing import add_pair


@pytest.fixture
def reader(visitor: TestClient, token: dict[str, str]) -> TestClient:
    """Who reads with the trainer's token."""
    visitor.headers.update(token)
    return visitor


@pytest.mark.parametrize(
    "path",
    [
        "pairs?project={project}&polcy=x",
        "pairs/gate?project={project}&polcy=x",
        # Of the feed alone.
        "pairs/gate?project={project}&limit=5",
        "pairs/gate?project={project}&after=5",
        "snapshots?project={project}&state=ready",
        "snapshots/{snapshot}?x=1",
        "snapshots/{snapshot}/changes?since={snapshot}&limt=5",
        "snapshots/{snapshot}/archive?x=1",
        "images/{image}?width=320",
    ],
)
def test_a_name_that_is_no_parameter_is_refused_everywhere(
    reader: TestClient, world: World, make: Make, path: str
) -> None:
    place = path.format(project=world.project.name, snapshot=make().id, image="0" * 64)
    answer = reader.get(f"/api/v1/{place}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["field"] == place.rpartition("?")[2].split("&")[-1].partition("=")[0]
    assert "not a parameter" in error["detail"]


def test_what_there_is_is_named(reader: TestClient, world: World) -> None:
    detail = reader.get(f"/api/v1/pairs?project={world.project.name}&x=1").json()["detail"]
    assert {"limit", "format", "min_edit"} <= set(
        detail.rpartition(": ")[2].rstrip(".").split(", ")
    )


@pytest.mark.parametrize("twice", ["limit=1&limit=2", "format=raw&format=trl", "since=&since=x"])
def test_of_two_values_none_is_passed_over(reader: TestClient, world: World, twice: str) -> None:
    answer = reader.get(f"/api/v1/pairs?project={world.project.name}&{twice}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == twice.partition("=")[0]


@pytest.mark.parametrize("name", ["annotator", "since", "on_policy", "allow", "project", "limit"])
def test_an_empty_value_does_not_give_all_pairs(
    reader: TestClient, world: World, name: str
) -> None:
    answer = reader.get(f"/api/v1/pairs?project={world.project.name}&{name}=")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == name


def test_several_values_of_a_filter_and_a_check_are_taken(reader: TestClient, world: World) -> None:
    more = "kind=rewrite&kind=insert&allow=tokens&allow=control&round=0&round=1"
    assert reader.get(f"/api/v1/pairs?project={world.project.name}&{more}").status_code == 200


def test_who_has_no_token_hears_of_that_first(visitor: TestClient) -> None:
    assert visitor.get("/api/v1/pairs?polcy=x").status_code == 401


def test_the_gate_counts_what_a_format_cannot_hold(
    reader: TestClient, db: Session, world: World
) -> None:
    sample = db.get_one(Sample, world.sample.id)
    pair = add_pair(db, sample=sample, number=1, text="Write <image>.\n\n", user=world.owner)
    db.commit()
    gate = f"/api/v1/pairs/gate?project={world.project.name}"
    assert reader.get(gate).json() == {"pairs": 1, "left_out": {}}
    assert reader.get(f"{gate}&format=ms-swift").json() == {
        "pairs": 0,
        "left_out": {"reserved": {"pairs": 1, "first_pair_ids": [str(pair.id)]}},
    }
    assert reader.get(f"{gate}&format=kto").status_code == 422


def test_every_refusal_is_described_as_what_it_is(running_app: TestClient) -> None:
    schema = running_app.get("/api/v1/openapi.json").json()
    operations = [one for methods in schema["paths"].values() for one in methods.values()]
    assert operations
    for operation in operations:
        refusals = {
            status: [*answer.get("content", {})]
            for status, answer in operation["responses"].items()
            if status.startswith("4") and status != "416"
        }
        assert {"401", "403", "422", "429"} <= set(refusals), operation["summary"]
        assert all(kinds == ["application/problem+json"] for kinds in refusals.values())
    assert "HTTPValidationError" not in schema["components"]["schemas"]
