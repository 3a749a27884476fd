"""What the editing card says that saving does."""

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.db.conftest import Desk
from tests.http.conftest import World

NO_PAIR = "This makes no pair"


@pytest.fixture
def desk(db: Session, world: World) -> Desk:
    return Desk(db, world.draft, world.owner)


def card(browser: TestClient, desk: Desk, number: int) -> str:
    desk.db.commit()
    return browser.get(f"/drafts/{desk.draft.id}/segments/{desk.at(number).id}/editor").text


def test_it_says_where_no_pair_comes_of_a_correction(owner: TestClient, desk: Desk) -> None:
    desk.correct(3, "## Slide 3\nMine.")
    said = card(owner, desk, 3)
    assert NO_PAIR not in said
    assert "Changes from the model’s text" in said
    desk.correct(2, "## Slide 2\nMine.")
    said = card(owner, desk, 3)
    assert NO_PAIR not in said, "a copy stands for the model's text as its source does"
    assert "the model’s text" not in said
    assert "Reset to model text" not in said
    # What is written where the model wrote nothing replaces nothing.
    desk.delete(4)
    desk.insert(3, "One more thing.")
    assert NO_PAIR in card(owner, desk, 4)


def test_it_announces_no_text_after_the_end(owner: TestClient, desk: Desk) -> None:
    assert "The text ends with this segment: nothing is rewritten." in card(owner, desk, 4)
    assert "1 segment, not reviewed" in card(owner, desk, 3)
