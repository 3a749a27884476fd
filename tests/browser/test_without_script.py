"""Where scripts do not run, the forms are forms: a segment can be read, corrected and accepted."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.support.studio import Studio


def test_a_segment_is_corrected_and_accepted_by_forms_alone(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    page = open_window(task.user, with_script=False).page
    desk = Desk(page, task)
    page.goto(task.path)
    expect(desk.segments).to_have_count(6)
    page.get_by_role("button", name="Edit segment 2").click()
    page.get_by_label("Text of segment 2").fill("## Slide 2\nBy a form alone.")
    page.get_by_role("button", name="Save without rewriting").click()
    expect(desk.number(2)).to_have_attribute("data-state", "edited")
    expect(desk.number(2)).to_contain_text("By a form alone.")
    page.get_by_role("button", name="Edit segment 3").click()
    page.get_by_role("button", name="Accept as is").click()
    expect(desk.number(3)).to_have_attribute("data-state", "accepted")
    expect(desk.count).to_have_text("2 of 6 done")


def test_a_stale_form_shows_both_texts(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    window = open_window(task.user, with_script=False)
    window.expect("409")
    page = window.page
    page.goto(task.path)
    page.get_by_role("button", name="Edit segment 2").click()
    other = Desk(open_window(task.user).page, task).open()
    other.press("a")
    expect(other.count).to_have_text("1 of 6 done")
    page.get_by_label("Text of segment 2").fill("Mine.")
    page.get_by_role("button", name="Save without rewriting").click()
    expect(page.get_by_role("heading", name="Your draft", exact=True)).to_be_visible()
    expect(page.locator("main")).to_contain_text("Mine.")
