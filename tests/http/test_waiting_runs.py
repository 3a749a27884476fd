"""A run that waits for its annotator, over HTTP: the choice and the continuation."""

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.models import RunState
from tests.db.conftest import Desk
from tests.http.conftest import World


@pytest.fixture
def desk(db: Session, world: World) -> Desk:
    """Segment 2 is corrected in a project that wants two candidates; they are offered."""
    world.project.generation = {"candidates": 2, "look_ahead": 1}
    desk = Desk(db, world.draft, world.owner)
    desk.correct(2, "## Slide 2\nMine.", rewrite=True)
    desk.offer("## Slide 3\nOne <b>way</b>.\n\n", "## Slide 3\nAnother.\n\n")
    db.commit()
    return desk


def address(desk: Desk, end: str = "") -> str:
    return f"/drafts/{desk.draft.id}/regenerations/{desk.run.id}{end}"


def form(desk: Desk, key: int = 1) -> dict[str, str]:
    return {
        "base_version": str(desk.draft.version),
        "segment_id": str(desk.offered()[key - 1].id),
    }


def test_the_page_offers_them_as_forms_and_as_text_only(owner: TestClient, desk: Desk) -> None:
    page = owner.get(f"/drafts/{desk.draft.id}").text
    assert "One &lt;b&gt;way&lt;/b&gt;." in page
    assert page.count(f'action="{address(desk, "/choice")}"') == 2
    assert "How should the text continue?" in page


def test_no_page_counts_a_text_as_reviewed_whose_way_on_is_not_chosen(
    owner: TestClient, admin: TestClient, world: World, desk: Desk
) -> None:
    desk.accept(1)
    desk.db.commit()
    assert "2 of ~4 done" in owner.get(f"/drafts/{desk.draft.id}").text
    for address in ("/queue", "/queue?show=progress"):
        mine = owner.get(address).text
        assert "2 of ~4" in mine
        assert "2 of 2" not in mine
        assert "waits for you" in mine
    for address in (f"/projects/{world.project.id}/samples", f"/samples/{world.sample.id}"):
        assert "2 of ~4" in admin.get(address).text


def test_a_form_without_script_chooses_and_leads_back(owner: TestClient, desk: Desk) -> None:
    chosen = desk.offered()[1].id
    answer = owner.post(address(desk, "/choice"), data=form(desk, 2), follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/drafts/{desk.draft.id}#s{chosen}",
    )
    assert desk.run.leaf_id == chosen


def test_a_script_gets_the_list_with_the_run_that_goes_on(owner: TestClient, desk: Desk) -> None:
    answer = owner.put(address(desk, "/choice"), data=form(desk, 2), headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert 'data-run-state="queued"' in answer.text
    assert "Another." in answer.text
    assert "How should the text continue?" not in answer.text


def test_an_old_page_chooses_nothing(owner: TestClient, desk: Desk) -> None:
    sent = form(desk) | {"base_version": str(desk.draft.version - 1)}
    assert owner.put(address(desk, "/choice"), data=sent).status_code == 409
    assert desk.run.undecided


def test_what_is_not_offered_is_a_conflict(owner: TestClient, desk: Desk) -> None:
    sent = form(desk) | {"segment_id": str(desk.at(1).id)}
    answer = owner.put(address(desk, "/choice"), data=sent)
    assert answer.status_code == 409
    assert "no longer available" in answer.text


def test_a_continuation_is_asked_for_once_and_answered_always(
    owner: TestClient, desk: Desk, db: Session
) -> None:
    plain = owner.post(address(desk, "/continuation"), follow_redirects=False)
    assert plain.status_code == 303
    assert desk.run.state is RunState.WAITING, "it waits for the choice"
    desk.choose(1)
    desk.write("## Slide 4\nMore.\n\n")
    desk.wait()
    db.commit()
    for _ in range(2):
        answer = owner.post(address(desk, "/continuation"), headers={"HX-Request": "true"})
        assert 'data-run-state="queued"' in answer.text
    assert desk.run.wanted == 3


def test_pairs_can_be_looked_at_by_kind(
    admin: TestClient, desk: Desk, db: Session, world: World
) -> None:
    desk.choose(2)
    db.commit()
    pairs = f"/projects/{world.project.id}/pairs"
    every, choices, deletions = (
        admin.get(pairs + query).text for query in ("", "?kind=choice", "?kind=delete")
    )
    assert every.count("<article") == 2
    assert choices.count("<article") == 1
    assert "chosen among candidates" in choices
    assert "No pair meets these filters" in deletions
    assert admin.get(f"{pairs}?kind=x").status_code == 422
