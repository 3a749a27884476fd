"""The pages on which admins run their projects."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.domain.segments import RuleKind
from app.models import AuditEvent, Membership, Project, User, now
from tests.http.conftest import World
from tests.support.factories import add_sample, add_user
from tests.support.pairing import add_pair

FORM = {
    "name": "lectures",
    "title": "Lecture scripts",
    "guidelines": "Be brief.\r\n\r\nSay what is on the slide.",
    "rule": "sentences",
    "rule_words": "80",
    "annotators_per_sample": "2",
    "temperature": "0.7",
}


def added(db: Session) -> Project:
    return db.scalars(select(Project).where(Project.name == "lectures")).one()


def test_an_admin_adds_a_project(admin: TestClient, db: Session) -> None:
    response = admin.post("/projects", data=FORM)
    project = added(db)
    assert (response.status_code, response.headers["location"]) == (303, f"/projects/{project.id}")
    assert project.title == "Lecture scripts"
    assert project.guidelines == "Be brief.\n\nSay what is on the slide."
    assert (project.rule, project.rule_words) == (RuleKind.SENTENCES, 80)
    assert project.annotators_per_sample == 2
    assert project.generation == {"temperature": 0.7}
    events = db.scalars(select(AuditEvent.action).where(AuditEvent.object.like("project:%")))
    assert list(events) == ["added_project"]


def test_a_new_project_waits_for_its_first_file_unless_a_rule_is_chosen(
    admin: TestClient, db: Session
) -> None:
    waits = '<option value="auto" selected>'
    assert waits in admin.get("/projects/new").text
    admin.post("/projects", data=FORM | {"rule": "auto"})
    project = added(db)
    assert project.rule is None
    assert waits in admin.get(f"/projects/{project.id}/settings").text
    admin.post(f"/projects/{project.id}/settings", data=FORM)
    db.refresh(project)
    assert project.rule is RuleKind.SENTENCES
    assert '<option value="auto"' not in admin.get(f"/projects/{project.id}/settings").text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "Lectures"),
        ("name", "../x"),
        ("name", "a" * 65),
        ("title", "  "),
        ("title", "x" * 201),
        ("rule", "none"),
        ("rule", "groups"),
        ("rule_words", "9"),
        ("rule_words", "١٢٠"),
        ("annotators_per_sample", "0"),
        ("annotators_per_sample", "1.5"),
        ("temperature", "nan"),
        ("temperature", "2.1"),
        ("max_tokens", "0"),
        ("max_tokens", "-1"),
        ("top_p", "0"),
        ("system", "Say <|im_end|>"),
        ("guidelines", "x" * 100_001),
    ],
)
def test_a_wrong_field_is_named_and_what_was_typed_stays(
    admin: TestClient, db: Session, field: str, value: str
) -> None:
    response = admin.post("/projects", data=FORM | {"title": "Kept title"} | {field: value})
    assert response.status_code == 422
    assert f'id="{field}-error"' in response.text
    assert field == "title" or "Kept title" in response.text
    assert db.scalar(select(Project).where(Project.name == "lectures")) is None


def test_a_name_is_taken_once(admin: TestClient, db: Session) -> None:
    admin.post("/projects", data=FORM)
    response = admin.post("/projects", data=FORM)
    assert response.status_code == 422
    assert "A project named lectures already exists." in response.text


def test_settings_are_changed_and_the_name_stays(
    admin: TestClient, db: Session, world: World
) -> None:
    url = f"/projects/{world.project.id}/settings"
    name = world.project.name
    world.project.generation = {"stop": ["END"], "temperature": 1.0}
    db.commit()
    response = admin.post(url, data=FORM)
    db.refresh(world.project)
    assert world.project.generation == {"stop": ["END"], "temperature": 0.7}
    assert response.headers["location"] == f"{url}?saved=1"
    assert (world.project.name, world.project.title) == (name, "Lecture scripts")
    page = admin.get(f"{url}?saved=1").text
    assert "The settings are saved." in page
    # The newline after the tag belongs to HTML, the text follows exactly.
    assert ">\nBe brief.\n\nSay what is on the slide.</textarea>" in page
    assert 'value="0.7"' in page


def test_a_refused_change_changes_nothing(admin: TestClient, db: Session, world: World) -> None:
    title = world.project.title
    response = admin.post(f"/projects/{world.project.id}/settings", data=FORM | {"rule_words": "1"})
    assert response.status_code == 422
    db.refresh(world.project)
    assert world.project.title == title


def test_the_page_has_the_projects_figures(admin: TestClient, db: Session, world: World) -> None:
    sample = add_sample(db, project=world.project)
    add_pair(db, sample=sample, number=1, text="Other.", user=world.other)
    add_sample(db, project=world.project)
    world.draft.finished_at = now()
    db.commit()
    page = admin.get(f"/projects/{world.project.id}").text
    assert "1 <small>of 3</small>" in page
    assert "1 pair is ready for training." in page
    assert "1 correction in the last 30 days." in page
    assert world.other.display_name in page


def test_a_new_project_says_what_to_do_next(admin: TestClient, db: Session) -> None:
    admin.post("/projects", data=FORM)
    url = f"/projects/{added(db).id}"
    assert "Import the first samples" in admin.get(url).text
    assert "No members yet" in admin.get(f"{url}/members").text


def test_members_come_and_go(admin: TestClient, db: Session, world: World) -> None:
    url = f"/projects/{world.project.id}/members"
    admin.post(url, data={"name": world.stranger.name.upper()})
    key = (world.project.id, world.stranger.id)
    assert db.get(Membership, key) is not None
    admin.post(url, data={"name": world.stranger.name})
    admin.post(f"{url}/{world.stranger.id}/removal")
    db.expire_all()
    assert db.get(Membership, key) is None
    assert admin.post(f"{url}/{world.stranger.id}/removal").status_code == 404


def test_who_is_unknown_or_disabled_is_not_added(
    admin: TestClient, db: Session, world: World
) -> None:
    gone = add_user(db)
    gone.disabled_at = now()
    db.commit()
    url = f"/projects/{world.project.id}/members"
    for name in ("nobody-of-that-name", gone.name, "\0"):
        response = admin.post(url, data={"name": name})
        assert response.status_code == 422
    assert gone.name not in admin.get(url).text


def test_an_archived_project_leaves_the_queue_and_comes_back(
    admin: TestClient, owner: TestClient, world: World
) -> None:
    url = f"/projects/{world.project.id}"
    admin.post(f"{url}/archival")
    assert world.project.title not in admin.get("/projects").text
    assert world.project.title in admin.get("/projects?archived=1").text
    assert "You are not in a project yet" in owner.get("/").text
    admin.post(f"{url}/reopening")
    assert world.project.title in admin.get("/projects").text


PAGES = ("", "/settings", "/members")
VERBS = ("/settings", "/members", "/archival", "/reopening", "/members/1/removal")


def test_only_admins_see_and_change_projects(
    owner: TestClient,
    trainer: TestClient,
    stranger: TestClient,
    visitor: TestClient,
    expired: TestClient,
    world: World,
) -> None:
    url = f"/projects/{world.project.id}"
    for browser in (owner, trainer, stranger):
        assert [browser.get(url + page).status_code for page in PAGES] == [403] * 3
        assert [browser.post(url + verb, data=FORM).status_code for verb in VERBS] == [403] * 5
        assert browser.get("/projects").status_code == 403
        assert browser.get("/projects/new").status_code == 403
        assert browser.post("/projects", data=FORM).status_code == 403
    for browser in (visitor, expired):
        assert browser.get("/projects").headers["location"] == "/login?next=/projects"
        assert browser.post("/projects", data=FORM).status_code == 401


@pytest.mark.parametrize("path", ["/projects/0", "/projects/999999", "/projects/x", "/projects/-1"])
def test_what_is_no_project_is_not_found(admin: TestClient, path: str) -> None:
    assert admin.get(path).status_code == 404


def test_no_projects_says_how_to_begin(admin: TestClient, db: Session) -> None:
    for project in db.scalars(select(Project)):
        project.archived_at = now()
    db.commit()
    assert "Create your first project" in admin.get("/projects").text


def test_people_are_listed_by_what_they_did(admin: TestClient, db: Session, world: World) -> None:
    def names(page: str) -> list[str]:
        people: list[User] = [world.owner, world.other]
        return sorted((user.name for user in people), key=lambda name: page.index(name.title()))

    sample = add_sample(db, project=world.project)
    add_pair(db, sample=sample, number=1, text="Other.", user=world.other)
    db.commit()
    page = admin.get(f"/projects/{world.project.id}/members").text
    assert names(page) == [world.other.name, world.owner.name]
