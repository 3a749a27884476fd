"""Beside the text: images, splitter, views, filters, history, notes; and quick hands."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.support.studio import Studio


def test_the_image_follows_the_segment_until_one_is_chosen_by_hand(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    position = page.locator("#position")
    desk.go(3)
    expect(position).to_have_text("Image 3 of 6")
    page.locator('.th[data-image="5"]').click()
    expect(position).to_have_text("Image 6 of 6")
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "false")
    page.locator('.th[data-image="5"]').press("ArrowLeft")
    expect(position).to_have_text("Image 5 of 6")
    desk.segments.nth(0).click()
    expect(position).to_have_text("Image 5 of 6")
    desk.press("f")
    expect(position).to_have_text("Image 1 of 6")
    desk.press("+", "+")
    expect(page.locator("#zoom")).to_have_text("156 %")
    desk.press("0")
    expect(page.locator("#zoom")).to_have_text("Fit")


def test_the_panes_are_as_they_were_left(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    splitter = page.get_by_role("separator")
    with page.expect_response("**/preferences"):
        splitter.press("ArrowRight")
    expect(splitter).to_have_attribute("aria-valuenow", "42")
    with page.expect_response("**/preferences"):
        page.get_by_role("button", name="Final text").click()
    page.reload()
    expect(desk.active).to_have_count(1)
    expect(splitter).to_have_attribute("aria-valuenow", "42")
    expect(page.get_by_role("button", name="Final text")).to_have_attribute("aria-pressed", "true")
    share = page.evaluate("document.querySelector('#images').offsetWidth / innerWidth")
    assert abs(share - 0.42) < 0.01


def test_filters_show_what_they_say(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    desk.press("a")
    expect(desk.count).to_have_text("1 of 6 done")
    page.get_by_role("button", name="Accepted 1").click()
    expect(desk.number(1)).to_be_visible()
    expect(desk.number(4)).to_be_hidden()
    page.get_by_role("button", name="To do 5").click()
    expect(desk.number(1)).to_be_hidden()
    expect(desk.number(4)).to_be_visible()


def test_a_note_is_kept_and_an_older_version_put_into_the_editor(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    desk.edit(2)
    model = desk.text.input_value()
    desk.type(" More.")
    desk.press("Control+Shift+Enter")
    expect(desk.number(2)).to_have_attribute("data-state", "edited")
    desk.go(2)
    desk.press("h")
    note = page.get_by_label("Note for reviewers")
    note.fill("Please look at this one.")
    expect(desk.saved).to_contain_text("Draft saved")
    page.get_by_text("Model’s text").click()
    page.get_by_role("button", name="Put into the editor").click()
    expect(desk.text).to_have_value(model)
    page.reload()
    expect(desk.number(2)).to_contain_text("Please look at this one.")


def test_the_image_of_a_segment_can_be_changed(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    desk.edit(2)
    desk.active.get_by_label("More for segment 2").click()
    page.get_by_label("Image of segment 2").select_option(label="6")
    expect(desk.active.get_by_role("button", name="Show image 6")).to_be_visible()
    desk.press("Escape")
    page.reload()
    expect(desk.number(2).get_by_role("button", name="Show image 6")).to_be_visible()


def test_quick_hands_make_no_conflict(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    page.evaluate(
        "for (const button of document.querySelectorAll('[data-act=accept]')) button.click()"
    )
    expect(desk.count).to_have_text("6 of 6 done")
    expect(desk.notice).to_be_empty()
    desk.edit(3)
    desk.type(" More.")
    page.evaluate(
        """() => {
          const button = document.querySelector('form.editor .eacts button[value=keep]');
          button.click();
          button.click();
        }"""
    )
    expect(desk.number(3)).to_have_attribute("data-state", "edited")
    expect(desk.notice).to_be_empty()
