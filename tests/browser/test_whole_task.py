"""The main job from log-in to finish, in real Chromium, by keyboard alone."""

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from app.models import Correction, Draft, Membership, User
from app.models.live import is_live_pair
from app.security import hash_password
from tests.browser.conftest import OpenWindow
from tests.browser.desk import LECTURE, Desk, add_task
from tests.support.studio import Studio

PASSWORD = "a long password of a test"


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on the link or button of that name."""
    target = page.get_by_role("link", name=name).or_(page.get_by_role("button", name=name)).first
    for _ in range(60):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reached {name!r}")


@pytest.mark.timeout(300)
def test_a_task_is_done_by_keyboard_alone(house: Studio, open_window: OpenWindow) -> None:
    # The last segment takes some seconds, so that its run can be stopped before its end.
    task = add_task(house, [*LECTURE[:5], "## Slide 6\n" + "Thank you for listening. " * 120])
    with house.sessions.begin() as db:
        user = db.get_one(User, task.user.id)
        user.password_hash = hash_password(PASSWORD)
        assert db.get(Membership, (task.project.id, user.id))

    page = open_window().page
    page.goto("/login")
    page.get_by_label("Name").focus()
    page.keyboard.type(task.user.name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="My work")).to_be_visible()
    tab_to(page, "Continue")
    page.keyboard.press("Enter")
    desk = Desk(page, task)
    expect(desk.segments).to_have_count(6)
    expect(desk.active).to_have_attribute("data-number", "1")

    # Accept the first; the next one to do becomes active, its image is shown.
    desk.press("a")
    expect(desk.count).to_have_text("1 of 6 done")
    expect(desk.active).to_have_attribute("data-number", "2")
    expect(page.locator("#position")).to_have_text("Image 2 of 6")

    # Correct the second: the live comparison shows it, the continuation comes.
    desk.edit(2)
    desk.press("Control+Home", "ArrowDown", "Control+Shift+ArrowRight")
    page.keyboard.type("Our ")
    live = desk.active.locator(".compared")
    expect(live.locator("del")).to_contain_text("The")
    expect(live.locator("ins")).to_contain_text("Our")
    expect(desk.active.locator(".conseq")).to_contain_text("4 segments, none reviewed")
    desk.press("Control+Enter")
    expect(desk.number(2)).to_have_attribute("data-state", "edited")
    expect(desk.run).to_contain_text("Run 2, continued from your text in segment 2")
    expect(page.locator("#tail")).not_to_be_empty()
    expect(desk.active).to_have_attribute("data-state", "new", timeout=20_000)
    desk.wait_for_the_run()
    expect(desk.segments).to_have_count(6)

    # A Chinese sentence, and the run is stopped at its first words.
    desk.edit(4)
    desk.press("Control+Home", "ArrowDown")
    page.keyboard.insert_text("各位请看：")
    expect(desk.active.locator(".compared ins")).to_have_text("各位请看：")
    desk.press("Control+Enter")
    expect(page.locator("#tail")).not_to_be_empty()
    desk.press("s")
    expect(desk.run).to_contain_text("stopped")
    expect(page.locator("#writing")).to_have_count(0)

    # Undo brings the state before that correction back; then it is made again, to the end.
    desk.press("u")
    expect(desk.number(4)).to_have_attribute("data-state", "new")
    expect(desk.segments).to_have_count(6)
    desk.edit(4)
    desk.press("Control+Home", "ArrowDown")
    page.keyboard.insert_text("各位请看：")
    desk.press("Control+Enter")
    expect(desk.number(4)).to_have_attribute("data-state", "edited")
    desk.wait_for_the_run()

    # Compare the two continuations, and restore the old one.
    desk.press("c")
    expect(
        page.get_by_role("heading", name="Compare continuations after segment 4")
    ).to_be_visible()
    desk.press("r")
    expect(desk.active).to_have_count(1)
    expect(desk.number(4)).to_have_attribute("data-state", "edited")
    expect(desk.run).to_be_hidden()

    # The third correction keeps what follows.
    desk.edit(5)
    desk.type(" All three are slow.")
    desk.press("Control+Shift+Enter")
    expect(desk.number(5)).to_have_attribute("data-state", "edited")
    expect(desk.segments).to_have_count(6)
    for _ in range(6):
        if page.locator("#filter-todo .k").inner_text() == "0":
            break
        done = desk.count.inner_text()
        desk.press("n", "a")
        expect(desk.count).not_to_have_text(done)
    expect(desk.count).to_have_text("6 of 6 done")

    tab_to(page, "Finish sample")
    page.keyboard.press("Enter")
    expect(desk.notice).to_contain_text("Reopen it to change anything")
    with house.sessions() as db:
        assert db.get_one(Draft, task.draft.id).finished_at is not None
        live_pairs = db.scalars(
            select(Correction).where(Correction.draft_id == task.draft.id, is_live_pair())
        ).all()
        assert len(live_pairs) == 3
