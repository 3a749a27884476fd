"""What a person typed is never lost: not by a reload, a log-out, an error or a dead server."""

from playwright.sync_api import expect
from sqlalchemy import delete, select

from app.models import Correction, LoginSession, UnsavedEdit
from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.support.studio import Studio

TYPED = " Typed by a person, 打字。"


def test_typed_text_is_there_after_a_reload(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(3)
    desk.type(TYPED)
    before = desk.text.input_value()
    desk.page.reload()
    expect(desk.text).to_have_value(before)
    expect(desk.text).to_be_focused()


def test_text_typed_the_moment_before_a_reload_is_there(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(2)
    desk.press("Control+End")
    desk.page.keyboard.type(TYPED)
    before = desk.text.input_value()
    desk.page.reload()
    expect(desk.text).to_have_value(before)


def test_typed_text_is_there_after_going_to_another_page_and_back(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(2)
    desk.press("Control+End")
    desk.page.keyboard.type(TYPED)
    before = desk.text.input_value()
    desk.page.goto("/")
    desk.page.go_back()
    expect(desk.text).to_have_value(before)


def test_typed_text_outlives_a_server_that_is_killed(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    window = open_window(task.user)
    window.expect("ERR_", "Failed to fetch")
    desk = Desk(window.page, task).open()
    desk.edit(2)
    house.kill("app")
    desk.press("Control+End")
    desk.page.keyboard.type(TYPED)
    expect(desk.saved).to_have_text("Offline, kept on this device")
    desk.press("Control+Enter")
    expect(desk.page.locator("#messages")).to_contain_text("Your text is kept on this device")
    before = desk.text.input_value()
    assert before.endswith(TYPED)
    house.start("app")
    expect(desk.saved).to_contain_text("Draft saved", timeout=30_000)
    desk.press("Control+Enter")
    expect(desk.number(2)).to_have_attribute("data-state", "edited")
    with house.sessions() as db:
        pairs = db.scalars(select(Correction).where(Correction.draft_id == task.draft.id)).all()
        assert len(pairs) == 1


def test_text_typed_without_a_server_is_there_when_the_page_comes_again(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    window = open_window(task.user)
    window.expect("ERR_", "Failed to fetch")
    desk = Desk(window.page, task).open()
    desk.edit(2)
    desk.page.route("**/unsaved", lambda route: route.abort())
    desk.press("Control+End")
    desk.page.keyboard.type(TYPED)
    before = desk.text.input_value()
    expect(desk.saved).to_have_text("Offline, kept on this device")
    desk.page.goto("/")
    desk.page.unroute("**/unsaved")
    desk.open()
    expect(desk.page.locator("#messages")).to_contain_text("and is restored")
    expect(desk.text).to_have_value(before)


def test_a_log_out_elsewhere_keeps_the_text_and_shows_the_way(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    window = open_window(task.user)
    window.expect("401")
    desk = Desk(window.page, task).open()
    desk.edit(2)
    with house.sessions.begin() as db:
        db.execute(delete(LoginSession).where(LoginSession.user_id == task.user.id))
    desk.press("Control+End")
    desk.page.keyboard.type(TYPED)
    desk.press("Control+Enter")
    expect(desk.notice).to_contain_text("Log in again in a new tab")
    expect(desk.notice.get_by_role("link")).to_have_attribute("target", "_blank")
    assert desk.text.input_value().endswith(TYPED)
    window.page.context.add_cookies(
        [{"name": "iterdpo_session", "value": house.log_in(task.user), "url": house.url}]
    )
    desk.text.focus()
    desk.press("Control+Enter")
    expect(desk.number(2)).to_have_attribute("data-state", "edited")


def test_an_error_of_the_server_leaves_the_text_in_its_field(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    window = open_window(task.user)
    window.expect("500")
    desk = Desk(window.page, task).open()
    desk.edit(2)
    desk.type(TYPED)
    desk.page.route("**/correction", lambda route: route.fulfill(status=500, body="broken"))
    desk.press("Control+Enter")
    expect(desk.page.locator("#messages")).to_contain_text("The server had an error")
    assert desk.text.input_value().endswith(TYPED)


def test_an_empty_text_is_refused_beside_its_field(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    window = open_window(task.user)
    window.expect("422")
    desk = Desk(window.page, task).open()
    desk.edit(2)
    desk.press("Control+a", "Delete", "Control+Enter")
    expect(desk.active.locator(".error")).to_contain_text("You cannot save an empty text")
    expect(desk.text).to_have_value("")


def test_text_of_a_segment_that_a_new_run_displaces_is_put_aside(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(4)
    desk.type(TYPED)
    desk.press("Alt+ArrowUp", "Alt+ArrowUp")
    expect(desk.active).to_have_attribute("data-number", "2")
    desk.press("e")
    expect(desk.number(2).locator("textarea.prose")).to_be_focused()
    desk.press("Control+End")
    desk.page.keyboard.type(" Changed.")
    desk.press("Control+Enter")
    orphan = desk.page.locator(".orphan")
    expect(orphan).to_have_count(1)
    orphan.locator("summary").click()
    assert TYPED in orphan.locator("textarea").input_value()
    desk.wait_for_the_run()
    desk.page.reload()
    expect(desk.page.locator(".orphan")).to_have_count(1)


def test_a_new_segment_that_was_being_written_comes_back(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(2)
    desk.active.get_by_label("More for segment 2").click()
    desk.page.get_by_role("link", name="Insert a segment after").click()
    expect(desk.page.get_by_label("Text of the new segment")).to_be_focused()
    desk.page.keyboard.type("A new paragraph")
    desk.page.reload()
    desk.page.get_by_role("button", name="Open it").click()
    expect(desk.page.get_by_label("Text of the new segment")).to_have_value("A new paragraph")
    desk.page.get_by_role("button", name="Insert without rewriting").click()
    expect(desk.segments).to_have_count(7)
    expect(desk.number(3)).to_contain_text("A new paragraph")


def test_a_saved_text_leaves_no_copy_behind(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(6)
    desk.type(TYPED)
    desk.press("Control+Shift+Enter")
    expect(desk.number(6)).to_have_attribute("data-state", "edited")
    with house.sessions() as db:
        kept = select(UnsavedEdit).where(UnsavedEdit.draft_id == task.draft.id)
        assert db.scalars(kept).all() == []
    desk.page.reload()
    expect(desk.number(6)).to_contain_text("Typed by a person")
    expect(desk.page.locator("#messages .notice")).to_have_count(0)
