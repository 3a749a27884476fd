"""The list of a project's samples and the page of one."""

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.models import Draft, now
from app.samples.queries import PAGE
from tests.http.conftest import World
from tests.support.factories import add_draft, add_sample


def address(world: World) -> str:
    return f"/projects/{world.project.id}/samples"


def test_the_list_shows_samples_and_who_works_on_them(admin: TestClient, world: World) -> None:
    text = admin.get(address(world)).text
    assert world.sample.title in text
    assert world.owner.display_name in text
    assert "0 of 4 segments" in text


def test_the_list_is_searched_by_title_and_id(admin: TestClient, world: World, db: Session) -> None:
    other = add_sample(db, project=world.project)
    other.title, other.source_id = "100 % of_it", "optics/7"
    db.commit()
    for search in ("100 % OF_", "tics/7"):
        text = admin.get(address(world), params={"search": search}).text
        assert "of_it" in text
        assert world.sample.title not in text
    # A percent sign is a character, not a pattern.
    assert "No samples found" in admin.get(address(world), params={"search": "1%0"}).text


def test_the_list_is_filtered_by_state(admin: TestClient, world: World, db: Session) -> None:
    untouched = add_sample(db, project=world.project)
    finished = add_sample(db, project=world.project)
    draft = add_draft(db, sample=finished, user=world.owner)
    draft.finished_at = now()
    db.commit()
    samples = {"open": untouched, "in_progress": world.sample, "done": finished}
    for state, wanted in samples.items():
        text = admin.get(address(world), params={"state": state}).text
        shown = {sample.title for sample in samples.values() if f">{sample.title}</a>" in text}
        assert shown == {wanted.title}
    assert admin.get(address(world), params={"state": "nonsense"}).status_code == 422


def test_the_list_goes_on_over_pages(admin: TestClient, world: World, db: Session) -> None:
    for _ in range(PAGE):
        last = add_sample(db, project=world.project, texts=("One.",))
    db.commit()
    first_page = admin.get(address(world)).text
    assert f">{last.title}</a>" not in first_page
    before_last = last.id - 1
    second_page = admin.get(address(world), params={"after": before_last}).text
    assert f">{last.title}</a>" in second_page
    assert "Next page" in first_page
    assert "Next page" not in second_page


def test_a_sample_shows_its_instruction_images_and_output(admin: TestClient, world: World) -> None:
    text = admin.get(f"/samples/{world.sample.id}").text
    assert world.sample.instruction in text
    assert text.count("/320.webp") == 4
    assert "The chart shows 12 percent." in text
    assert world.owner.display_name in text


def test_members_see_a_sample_without_the_work_of_others(
    owner: TestClient, other: TestClient, world: World, draft: Draft
) -> None:
    own, others = (client.get(f"/samples/{world.sample.id}").text for client in (owner, other))
    assert f'href="/drafts/{draft.id}"' in own
    assert f"/drafts/{draft.id}" not in others
    assert f'action="/samples/{world.sample.id}/draft"' in others


@pytest.fixture
def draft(world: World) -> Draft:
    return world.draft


@pytest.mark.parametrize("actor", ["owner", "other", "stranger", "trainer", "visitor", "expired"])
def test_only_admins_see_the_list(actor: str, request: pytest.FixtureRequest, world: World) -> None:
    client: TestClient = request.getfixturevalue(actor)
    assert client.get(address(world)).status_code in (303, 401, 403)


@pytest.mark.parametrize(
    ("actor", "status"),
    [("stranger", 404), ("visitor", 303), ("expired", 303), ("trainer", 200), ("admin", 200)],
)
def test_a_sample_is_there_for_members_and_admins(
    actor: str, status: int, request: pytest.FixtureRequest, world: World
) -> None:
    client: TestClient = request.getfixturevalue(actor)
    assert client.get(f"/samples/{world.sample.id}").status_code == status
