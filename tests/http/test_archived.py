"""An archived project can be read, not changed; what is typed there is kept; it all comes back."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.access import draft_of
from app.annotation.edits import assignment
from app.database.sessions import Sessions, make_engine, make_sessions
from app.models import (
    Correction,
    Draft,
    Project,
    Regeneration,
    Revision,
    Role,
    RunState,
    Sample,
    SampleImage,
    Segment,
    UnsavedEdit,
)
from app.projects import service
from app.refusals import Conflict
from app.security import Actor
from tests.db.conftest import Desk
from tests.http.conftest import HTMX, World
from tests.support.factories import add_draft, add_project, add_sample, add_user

REFUSED = "This project is archived"


@pytest.fixture
def desk(db: Session, world: World) -> Desk:
    """The owner has corrected segment 2; the text after it is being written."""
    desk = Desk(db, world.draft, world.owner)
    desk.correct(2, "## Slide 2\nMine.", rewrite=True)
    desk.write("## Slide 3\nAnew.\n\n")
    desk.say("## Slide 4\nHalf")
    db.commit()
    return desk


@pytest.fixture
def archived(desk: Desk, admin: TestClient, world: World) -> Desk:
    """The same, and then an admin archived the project."""
    assert admin.post(f"/projects/{world.project.id}/archival").status_code == 303
    desk.db.expire_all()
    return desk


def changes(desk: Desk) -> list[tuple[str, str]]:
    """Every request that would change the draft, as (method, address)."""
    draft = f"/drafts/{desk.draft.id}"
    segment = f"{draft}/segments/{desk.at(2).id}"
    run = f"{draft}/regenerations/{desk.draft.regeneration_id}"
    return [
        ("PUT", f"{segment}/acceptance"),
        ("PUT", f"{segment}/correction"),
        ("POST", f"{segment}/insertion"),
        ("POST", f"{segment}/deletion"),
        ("POST", f"{segment}/division"),
        ("POST", f"{segment}/merger"),
        ("PUT", f"{segment}/image"),
        ("POST", f"{draft}/regenerations"),
        ("PUT", f"{run}/choice"),
        ("POST", f"{run}/continuation"),
        ("POST", f"{run}/restoration"),
        ("DELETE", run),
        ("POST", f"{draft}/reversals"),
        ("PUT", f"{draft}/completion"),
        ("DELETE", f"{draft}/completion"),
        ("POST", f"{draft}/reopening"),
    ]


def counts(db: Session) -> list[int]:
    return [
        db.scalars(select(func.count()).select_from(table)).one()
        for table in (Segment, Correction, Regeneration, Revision, Draft)
    ]


def test_every_change_is_refused_with_the_reason(archived: Desk, owner: TestClient) -> None:
    before = counts(archived.db), archived.draft.version
    form = {"base_version": str(archived.draft.version), "text": "New.", "side": "after"}
    for method, address in changes(archived):
        data = None if method == "DELETE" else form | {"at": "3", "segment_id": "1"}
        answer = owner.request(method, address, headers=HTMX, data=data)
        assert answer.status_code == 409, address
        assert REFUSED in answer.text, address
    archived.db.expire_all()
    assert (counts(archived.db), archived.draft.version) == before


def test_nobody_can_take_a_sample_of_it(archived: Desk, other: TestClient, world: World) -> None:
    sample = add_sample(archived.db, project=world.project)
    archived.db.commit()
    answer = other.post(f"/samples/{sample.id}/draft")
    assert answer.status_code == 409
    assert REFUSED in answer.text
    assert other.post("/queue/next").headers["location"] == "/queue"


def test_what_is_being_written_is_stopped_and_stays(archived: Desk) -> None:
    assert archived.run.state is RunState.CANCELLED
    assert archived.texts[2:] == ["## Slide 3\nAnew.\n\n", "## Slide 4\nHalf"]


def test_the_draft_is_read_only_and_says_why(archived: Desk, owner: TestClient) -> None:
    page = owner.get(f"/drafts/{archived.draft.id}").text
    assert "This project is archived. You can read its texts but not change them." in page
    assert "data-read-only" in page
    assert not {"/acceptance", "/completion", 'id="again"', 'id="reopen"'} & set(page.split('"'))
    assert 'data-act="edit"' not in page
    run = owner.get(f"/drafts/{archived.draft.id}/regenerations/{archived.run.id}", headers=HTMX)
    assert 'hx-post="/drafts' not in run.text
    version = owner.get(f"/drafts/{archived.draft.id}/version").json()
    assert version["archived"] is True


def test_typed_text_is_kept_and_shown(archived: Desk, owner: TestClient) -> None:
    step = archived.at(2)
    address = f"/drafts/{archived.draft.id}/segments/{step.id}/unsaved"
    answer = owner.put(address, json={"text": "Half a thought", "typed_at_ms": 1})
    assert answer.status_code == 200
    kept = archived.db.get_one(UnsavedEdit, (archived.draft.id, step.id))
    assert kept.text == "Half a thought"
    page = owner.get(f"/drafts/{archived.draft.id}").text
    assert "Half a thought" in page
    assert f'href="{address.replace("unsaved", "editor")}"' not in page


def test_taken_back_all_goes_on_where_it_was(
    archived: Desk, owner: TestClient, admin: TestClient, world: World
) -> None:
    assert admin.post(f"/projects/{world.project.id}/reopening").status_code == 303
    page = owner.get(f"/drafts/{archived.draft.id}").text
    assert REFUSED not in page
    form = {"base_version": str(archived.draft.version)}
    answer = owner.post(f"/drafts/{archived.draft.id}/regenerations", data=form, headers=HTMX)
    assert answer.status_code == 200
    archived.db.expire_all()
    assert archived.run.state is RunState.QUEUED
    assert archived.run.anchor_id == archived.at(4).id


def test_a_run_that_waits_goes_on_waiting(
    desk: Desk, db: Session, owner: TestClient, admin: TestClient, world: World
) -> None:
    desk.wait()
    db.commit()
    url = f"/projects/{world.project.id}"
    admin.post(f"{url}/archival")
    db.expire_all()
    states = [desk.run.state]
    on = f"/drafts/{desk.draft.id}/regenerations/{desk.run.id}/continuation"
    assert owner.post(on, headers=HTMX).status_code == 409
    admin.post(f"{url}/reopening")
    assert owner.post(on, headers=HTMX).status_code == 200
    db.expire_all()
    assert [*states, desk.run.state] == [RunState.WAITING, RunState.QUEUED]


def test_pairs_are_read_exported_frozen_and_retracted_as_before(
    archived: Desk, admin: TestClient, world: World
) -> None:
    url = f"/projects/{world.project.id}"
    # The store holds no files for them.
    archived.db.execute(delete(SampleImage))
    archived.db.commit()
    (pair,) = archived.pairs
    assert f"/pairs/{pair.id}" in admin.get(f"{url}/pairs").text
    export = admin.get(f"{url}/export", params={"format": "raw"})
    assert export.status_code == 200, export.text
    assert export.content
    frozen = admin.post(f"{url}/snapshots", data={"name": "last", "format": "raw"})
    assert frozen.status_code == 303, frozen.text
    retracted = admin.post(f"{url}/pairs/{pair.id}/retraction", data={"reason": "Wrong."})
    assert retracted.status_code == 303, retracted.text


@pytest.fixture
def sessions(committed_database: str) -> Iterator[Sessions]:
    """Sessions that really commit."""
    engine = make_engine(committed_database, pool=4)
    yield make_sessions(engine)
    engine.dispose()


def add_task(sessions: Sessions) -> tuple[int, int, Actor]:
    """The ids of a project and of a draft in it, and who works on that."""
    with sessions.begin() as db:
        user = add_user(db)
        project = add_project(db, user)
        draft = add_draft(db, sample=add_sample(db, project=project), user=user)
        return project.id, draft.id, Actor(user.id, user.name, user.name, Role.ANNOTATOR)


def archive(sessions: Sessions, project_id: int) -> None:
    with sessions.begin() as db:
        service.archive(db, project=db.get_one(Project, project_id))


def test_an_archival_waits_for_a_change_that_is_under_way(sessions: Sessions) -> None:
    project_id, draft_id, actor = add_task(sessions)
    archiving = threading.Thread(target=archive, args=(sessions, project_id))
    with sessions.begin() as db:
        draft = draft_of(db, actor, draft_id, write=True)
        archiving.start()
        _wait_for_a_lock(sessions)
        draft.version += 1
    archiving.join(20)
    with sessions() as db:
        assert db.get_one(Draft, draft_id).version == 2
        assert db.get_one(Project, project_id).archived_at is not None


def test_a_change_that_meets_an_archival_waits_and_is_refused(sessions: Sessions) -> None:
    project_id, draft_id, actor = add_task(sessions)
    refusals = []

    def change() -> None:
        with sessions.begin() as db:
            try:
                draft_of(db, actor, draft_id, write=True)
            except Conflict as refusal:
                refusals.append(refusal.message)

    def take() -> None:
        with sessions.begin() as db:
            sample = db.scalars(select(Sample).where(Sample.project_id == project_id)).one()
            db.delete(db.get_one(Draft, draft_id))
            db.flush()
            try:
                assignment.open_draft(db, sample_id=sample.id, user_id=actor.id)
            except Conflict as refusal:
                refusals.append(refusal.message)

    for verb in (change, take):
        with sessions.begin() as db:
            project = db.get_one(Project, project_id)
            service.reopen(db, project=project)
        trying = threading.Thread(target=verb)
        with sessions.begin() as db:
            service.archive(db, project=db.get_one(Project, project_id))
            trying.start()
            _wait_for_a_lock(sessions)
        trying.join(20)
    assert [REFUSED in refusal for refusal in refusals] == [True, True]


def _wait_for_a_lock(sessions: Sessions) -> None:
    """Until some transaction of this database waits for another one."""
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    for _ in range(2000):
        with sessions() as db:
            if db.connection().exec_driver_sql(waits).scalar():
                return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


def test_an_archived_project_asks_for_no_file_and_no_members(
    admin: TestClient, db: Session
) -> None:
    project = add_project(db)
    add_sample(db, project=project)
    db.commit()
    address = f"/projects/{project.id}"

    def asks() -> list[bool]:
        overview, page = admin.get(address).text, admin.get(f"{address}/import").text
        return ["the project has no members yet" in overview, 'type="file"' in page]

    assert asks() == [True, True]
    admin.post(f"{address}/archival")
    assert asks() == [False, False]
    assert REFUSED in admin.get(f"{address}/import").text
