"""How the pages show what the model was unsure of, and to whom they do not."""

import math
import re
from html import unescape

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.domain.certainty import Certainty, WeakWord
from app.models import Draft, Segment
from tests.http.conftest import HTMX, World
from tests.support.factories import add_draft, add_policy, add_sample

TEXTS = ("\n  Tea & <b>bread</b>\r\n at 5.\n\n", "Good night.")
CERTAINTIES = {
    1: Certainty(
        math.log(0.83),
        (WeakWord(9, 14, math.log(0.12)), WeakWord(27, 28, math.log(0.004))),
    )
}


@pytest.fixture
def draft(db: Session, world: World) -> Draft:
    sample = add_sample(
        db,
        project=world.project,
        texts=TEXTS,
        policy=add_policy(db),
        certainties=CERTAINTIES,
    )
    draft = add_draft(db, sample=sample, user=world.owner)
    db.commit()
    return draft


def first(db: Session, draft: Draft) -> int:
    """The id of the draft's first segment."""
    return db.query(Segment).filter_by(sample_id=draft.sample_id, depth=1).one().id


def prose(page: str) -> str:
    """The text of the first segment as a browser would have it."""
    found = re.search(r'<div class="prose"[^>]*>(.*?)</div>', page, re.DOTALL)
    assert found is not None
    return unescape(re.sub(r"<[^>]*>", "", found[1]))


def test_weak_words_are_marked_in_an_unchanged_text(
    owner: TestClient, draft: Draft, db: Session
) -> None:
    page = owner.get(f"/drafts/{draft.id}/segments/{first(db, draft)}", headers=HTMX).text
    assert prose(page) == TEXTS[0].rstrip("\r\n")
    assert '<span class="weak" title="The model was unsure here: 12 %">&lt;b&gt;br</span>' in page
    assert "The model was unsure of: “&lt;b&gt;br” 12 %, “5” below 1 %" in page
    assert 'data-certainty="-0.186330"' in page


def test_a_segment_of_which_nothing_is_known_is_as_before(owner: TestClient, draft: Draft) -> None:
    page = owner.get(f"/drafts/{draft.id}").text
    assert page.count("data-certainty=") == 1
    assert page.count('class="weak"') == 2
    assert "Least sure first" in page


def test_the_details_tell_it_in_percent(owner: TestClient, draft: Draft, db: Session) -> None:
    page = owner.get(f"/drafts/{draft.id}/segments/{first(db, draft)}/history", headers=HTMX).text
    assert "83 % per token" in page
    assert "“5” below 1 %" in page


def test_the_editing_card_keeps_the_place_of_its_segment(
    owner: TestClient, draft: Draft, db: Session
) -> None:
    page = owner.get(f"/drafts/{draft.id}/segments/{first(db, draft)}/editor", headers=HTMX).text
    assert 'data-certainty="-0.186330"' in page
    assert 'class="weak"' not in page


def test_neither_changes_nor_a_superseded_text_show_it(
    owner: TestClient, draft: Draft, db: Session
) -> None:
    answer = owner.put(
        f"/drafts/{draft.id}/segments/{first(db, draft)}/correction",
        data={"text": "Another text.", "mode": "keep", "base_version": str(draft.version)},
        headers=HTMX,
    )
    assert answer.status_code == 200
    page = owner.get(f"/drafts/{draft.id}").text
    assert 'class="weak"' not in page
    assert "data-certainty=" not in page
    # Nothing is left to be sorted: the filter goes with the last segment that knows.
    assert "Least sure first" not in page.partition('id="segs"')[0]


def test_the_underline_is_a_preference_of_the_account(
    owner: TestClient, draft: Draft, world: World, db: Session
) -> None:
    assert 'data-underline="on"' in owner.get(f"/drafts/{draft.id}").text
    assert owner.put("/preferences", json={"underline": False}).status_code == 204
    db.refresh(world.owner)
    assert world.owner.preferences == {"underline": False}
    assert 'data-underline="off"' in owner.get(f"/drafts/{draft.id}").text
