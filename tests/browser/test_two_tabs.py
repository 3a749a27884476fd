"""One draft in two tabs: nothing is overwritten, both see the run."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.support.studio import Studio


def test_a_stale_save_is_refused_and_both_texts_stay(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    first_window = open_window(task.user)
    first_window.expect("409")
    first = Desk(first_window.page, task).open()
    second = Desk(open_window(task.user).page, task).open()
    first.edit(2)
    second.edit(2)
    second.type(" From the second tab.")
    second.press("Control+Shift+Enter")
    expect(second.number(2)).to_have_attribute("data-state", "edited")

    first.type(" From the first tab.")
    first.press("Control+Enter")
    expect(first.notice).to_contain_text("Your draft is safe")
    expect(
        first.notice.get_by_role("alert").or_(first.notice.locator("[role=alert]"))
    ).to_be_visible()
    assert first.text.input_value().endswith(" From the first tab.")
    first.page.get_by_role("button", name="See both versions").click()
    expect(first.page.locator("#both")).to_contain_text("From the second tab.")
    expect(first.page.locator("#both ins")).to_contain_text("first")

    now_there = second.number(2).get_attribute("data-id")
    assert now_there is not None
    first.page.get_by_role("button", name="Keep my draft").click()
    # The old editor holds the text too; the one that counts belongs to the segment of now.
    expect(first.number(2)).to_have_attribute("data-id", now_there)
    expect(first.number(2).locator("textarea.prose")).to_have_value(
        "## Slide 2\nThe chart shows twelve ships a day. Most of them carry grain, a few carry "
        "cars. From the first tab."
    )
    expect(first.number(2).locator("textarea.prose")).to_be_focused()
    first.press("Control+Shift+Enter")
    expect(first.number(2)).to_have_attribute("data-state", "edited")
    expect(first.number(2)).to_contain_text("From the first tab.")
    expect(first.page.locator(".orphan")).to_have_count(0)


def test_the_other_version_can_be_taken(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    first_window = open_window(task.user)
    first_window.expect("409")
    first = Desk(first_window.page, task).open()
    second = Desk(open_window(task.user).page, task).open()
    first.edit(2)
    second.edit(2)
    second.type(" From the second tab.")
    second.press("Control+Shift+Enter")
    expect(second.number(2)).to_have_attribute("data-state", "edited")
    first.type(" From the first tab.")
    first.press("Control+Enter")
    first.page.get_by_role("button", name="Use their version").click()
    expect(first.number(2)).to_contain_text("From the second tab.")
    expect(first.page.locator(".unsaved, .orphan, form.editor")).to_have_count(0)


def test_a_tab_that_is_looked_at_again_says_that_it_is_old(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    first = Desk(open_window(task.user).page, task).open()
    second = Desk(open_window(task.user).page, task).open()
    second.press("a")
    expect(second.count).to_have_text("1 of 6 done")
    first.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(first.page.locator("#messages")).to_contain_text("changed in another tab")
    first.page.get_by_role("button", name="Reload").click()
    expect(first.count).to_have_text("1 of 6 done")


def test_a_reload_and_a_second_tab_follow_the_run(house: Studio, open_window: OpenWindow) -> None:
    long_text = "## Slide {0}\n" + "The crane lifts forty tonnes and is painted blue. " * 40
    texts = [long_text.format(number) + "\n\n" for number in range(1, 7)]
    task = add_task(house, texts)
    first = Desk(open_window(task.user).page, task).open()
    first.edit(1)
    first.type(" Changed.")
    first.press("Control+Enter")
    expect(first.page.locator("#tail")).not_to_be_empty()
    second = Desk(open_window(task.user).page, task).open()
    expect(second.page.locator("#tail")).not_to_be_empty()
    first.page.reload()
    for desk in (first, second):
        desk.wait_for_the_run()
        expect(desk.segments).to_have_count(6)
        for number in range(2, 7):
            expect(desk.number(number).locator(".prose")).to_have_text(
                texts[number - 1].rstrip("\n"), use_inner_text=False
            )


def test_texts_typed_in_two_tabs_are_both_kept(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    window = open_window(task.user)
    first = Desk(window.page, task).open()
    second = Desk(window.page.context.new_page(), task).open()
    first.edit(2)
    second.edit(2)
    first.type(" First.")
    second.type(" Second.")
    first.page.reload()
    expect(first.text).to_have_value(second.text.input_value())
    first.page.get_by_role("button", name="Put it into the editor").click()
    expect(first.text).to_have_value(re.compile(r" First\.$"))


def test_going_back_to_a_text_shows_it_as_it_is_now(house: Studio, open_window: OpenWindow) -> None:
    desk = Desk(open_window((task := add_task(house)).user).page, task).open()
    desk.press("a")
    expect(desk.count).to_have_text("1 of 6 done")
    desk.page.goto("/")
    desk.page.go_back()
    expect(desk.count).to_have_text("1 of 6 done")
    expect(desk.active).to_have_attribute("data-number", "2")
    # Once more: the browser must not answer from its cache how the draft stood then.
    desk.press("a")
    expect(desk.count).to_have_text("2 of 6 done")
    desk.page.go_forward()
    desk.page.go_back()
    expect(desk.count).to_have_text("2 of 6 done")
