"""A pair whose text its annotator takes out: what the page says, and what the feed sends then."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.models import Correction, Draft
from tests.db.conftest import Desk
from tests.http.conftest import HTMX, Script, World
from tests.http.feed import address, rows

MINE = "## Slide 2\nThe chart shows 21 percent."


@pytest.fixture
def desk(db: Session, world: World) -> Desk:
    return Desk(db, world.draft, world.owner)


def send(browser: TestClient, desk: Desk, number: int, what: str, **form: str) -> str:
    """Do something with a segment as the page does; the answer."""
    desk.db.expire_all()
    draft = desk.db.get_one(Draft, desk.draft.id)
    answer = browser.request(
        "PUT" if what in ("correction", "acceptance") else "POST",
        f"/drafts/{draft.id}/segments/{desk.at(number).id}/{what}",
        data={"base_version": str(draft.version), "mode": "keep", **form},
        headers=HTMX,
    )
    assert answer.status_code == 200, answer.text
    desk.db.expire_all()
    return answer.text


def test_a_deleted_correction_leaves_the_feed_and_the_page_says_so(
    owner: TestClient, admin: TestClient, script: Script, world: World, desk: Desk
) -> None:
    feed = script(world.trainer)
    send(owner, desk, 2, "correction", text=MINE)
    (sent,) = rows(feed.get(address(world)).content)
    assert sent["chosen"] == MINE + "\n\n"
    said = send(owner, desk, 2, "deletion")
    assert "1 earlier change no longer counts for training, because its text is gone." in said
    assert rows(feed.get(address(world)).content) == []
    page = admin.get(f"/projects/{world.project.id}/pairs/{sent['pair_id']}")
    assert "It is not exported until that text comes back." in page.text
    said = send(owner, desk, 2, "acceptance")
    assert "no longer count" not in said
    (follower,) = rows(feed.get(address(world, after=sent["cursor"])).content)
    assert (follower["kind"], follower["rejected"]) == ("delete", sent["rejected"])


def test_undo_sends_it_again_behind_the_cursor(
    owner: TestClient, script: Script, world: World, desk: Desk
) -> None:
    feed = script(world.trainer)
    send(owner, desk, 2, "correction", text=MINE)
    (sent,) = rows(feed.get(address(world)).content)
    send(owner, desk, 2, "deletion")
    assert rows(feed.get(address(world)).content) == []
    draft = desk.db.get_one(Draft, desk.draft.id)
    undone = owner.post(
        f"/drafts/{draft.id}/reversals", data={"base_version": draft.version}, headers=HTMX
    )
    assert "no longer count" not in undone.text
    (again,) = rows(feed.get(address(world, after=sent["cursor"])).content)
    assert again["pair_id"] == sent["pair_id"]


def test_the_history_names_the_step_that_made_pairs_rest(
    owner: TestClient, world: World, desk: Desk
) -> None:
    send(owner, desk, 3, "correction", text="## Slide 3\nMine.")
    said = send(owner, desk, 2, "correction", text=MINE, mode="continue")
    assert "1 earlier change no longer counts for training" in said
    page = owner.get(f"/drafts/{world.draft.id}/segments/{desk.at(2).id}/history")
    assert page.text.count("1 earlier change stopped counting") == 1


def test_what_is_split_merged_and_corrected_leaves_as_one_pair(
    owner: TestClient, script: Script, world: World, desk: Desk, db: Session
) -> None:
    send(owner, desk, 4, "correction", text="## Slide 4\nGoodbye.")
    send(owner, desk, 3, "merger")
    send(owner, desk, 3, "correction", text="## Slides 3 and 4\nRows. Goodbye.")
    (sent,) = rows(script(world.trainer).get(address(world)).content)
    assert sent["chosen"] == "## Slides 3 and 4\nRows. Goodbye."
    assert sent["rejected"].startswith("## Slide 3\n")
    assert sent["rejected"].endswith("Thank you for listening.")
    assert (sent["on_policy"], sent["ends_output"]) == (True, True)
    (old,) = db.scalars(select(Correction).where(Correction.superseded_by.is_not(None)))
    assert str(old.superseded_by) == sent["pair_id"]
