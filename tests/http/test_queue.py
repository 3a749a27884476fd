"""My work: what each kind of user lands on, and that its counts and lists are the user's own."""

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.annotation.edits import correction
from app.annotation.edits.revision import draft_state
from app.models import Membership, Sample, now
from app.projects import queue_queries
from app.projects.queue_queries import my_drafts, my_projects, open_samples
from tests.http.conftest import Browse, World
from tests.support.factories import add_draft, add_project, add_sample, add_user


def test_annotators_go_on_where_they_were(owner: TestClient, world: World) -> None:
    page = owner.get("/").text
    assert f'class="btn primary" href="/drafts/{world.draft.id}"' in page
    assert "0 of 4 segments reviewed" in page


def test_reviewed_segments_are_counted_on_the_present_path(
    owner: TestClient, db: Session, world: World
) -> None:
    draft = world.draft
    first, second = draft_state(db, draft).path.segments[:2]
    correction.accept(db, draft=draft, base_version=draft.version, segment_id=first.id)
    correction.correct(
        db,
        draft=draft,
        base_version=draft.version,
        segment_id=second.id,
        text="## Slide 2\nOther.",
        rewrite=False,
    )
    db.commit()
    assert "2 of 4 segments reviewed" in owner.get("/").text


def test_an_open_sample_waits_for_everybody(
    owner: TestClient, other: TestClient, db: Session, world: World
) -> None:
    sample = add_sample(db, project=world.project)
    db.commit()
    for browser in (owner, other):
        page = browser.get("/queue?show=open").text
        assert f'action="/samples/{sample.id}/draft"' in page
        assert 'action="/queue/next"' in page


def test_what_enough_others_have_taken_is_not_open(db: Session) -> None:
    me, one, two = add_user(db), add_user(db), add_user(db)
    project = add_project(db, me, one, two, annotators=2)
    samples = [add_sample(db, project=project) for _ in range(4)]
    taken(db, samples[0], one, two)
    taken(db, samples[1], one)
    taken(db, samples[2], me)
    (card,) = my_projects(db, user_id=me.id)
    listed = open_samples(db, user_id=me.id).items
    assert [item.sample_id for item in listed] == [samples[1].id, samples[3].id]
    assert (card.samples.open, card.samples.in_progress, card.samples.done) == (2, 1, 0)


def taken(db: Session, sample: Sample, *users: object) -> None:
    for user in users:
        add_draft(db, sample=sample, user=user)  # type: ignore[arg-type] # users, as above


def test_finished_samples_are_done(owner: TestClient, db: Session, world: World) -> None:
    world.draft.finished_at = now()
    db.commit()
    page = owner.get("/").text
    assert "All done" in page
    assert "Nothing is finished yet" not in page
    (card,) = my_projects(db, user_id=world.owner.id)
    assert (card.samples.total, card.samples.done) == (1, 1)


def test_lists_come_in_pages_without_gap_or_repetition(
    db: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_queries, "PAGE", 2)
    me = add_user(db)
    project = add_project(db, me)
    samples = [add_sample(db, project=project) for _ in range(5)]
    open_ids, cursor = [], None
    while True:
        page = open_samples(db, user_id=me.id, project_id=project.id, after=cursor)
        open_ids += [item.sample_id for item in page.items]
        if (cursor := page.next) is None:
            break
    assert open_ids == [sample.id for sample in samples]
    # Made in one transaction: all have the same time, so the id must decide.
    drafts = [add_draft(db, sample=sample, user=me).id for sample in samples]
    mine: list[int] = []
    while True:
        begun = my_drafts(db, user_id=me.id, finished=False, after=cursor)
        mine += [item.draft_id for item in begun.items]
        if (cursor := begun.next) is None:
            break
    assert mine == drafts[::-1]


@pytest.mark.parametrize("after", ["x", "-1", "1-", "9" * 30, "999999999999999999-1", "1-x", "٣"])
def test_a_made_up_cursor_is_refused(owner: TestClient, after: str) -> None:
    response = owner.get("/queue", params={"show": "progress", "after": after})
    assert response.status_code == 422


def test_a_project_can_be_chosen(
    owner: TestClient, db: Session, world: World, browse: Browse
) -> None:
    second = add_project(db, world.owner)
    sample = add_sample(db, project=second)
    db.commit()
    everything = owner.get("/queue?show=open").text
    assert f'href="/queue?project={second.id}"' in everything
    chosen = owner.get(f"/queue?project={second.id}").text
    assert sample.title in chosen
    assert f'name="project_id" value="{second.id}"' in chosen


def test_another_project_shows_nothing(owner: TestClient, db: Session, world: World) -> None:
    hidden = add_project(db)
    sample = add_sample(db, project=hidden)
    db.commit()
    page = owner.get(f"/queue?project={hidden.id}&show=open").text
    assert sample.title not in page
    assert hidden.title not in page


def test_who_left_the_project_finds_nothing(owner: TestClient, db: Session, world: World) -> None:
    db.delete(db.get_one(Membership, (world.project.id, world.owner.id)))
    db.commit()
    page = owner.get("/").text
    assert "You are not in a project yet" in page
    assert world.owner.name in page


def test_admins_land_on_the_projects(admin: TestClient) -> None:
    assert admin.get("/").headers["location"] == "/projects"
    assert "Add yourself as a member" in admin.get("/queue").text


def test_trainers_land_on_their_pairs(trainer: TestClient, world: World) -> None:
    page = trainer.get("/").text
    assert f"/api/v1/pairs?project={world.project.name}" in page
    assert f'href="/projects/{world.project.id}/pairs"' in page


def test_nobody_has_no_queue(visitor: TestClient, expired: TestClient) -> None:
    for browser in (visitor, expired):
        assert browser.get("/").headers["location"] == "/login?next=/"
        assert browser.get("/queue").headers["location"] == "/login?next=/queue"
