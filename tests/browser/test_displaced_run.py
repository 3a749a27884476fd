"""A correction while a text is being written: the news of its end may come before the answer."""

import re

from playwright.sync_api import APIResponse, Route, expect

from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.support.studio import Studio

TEXTS = [
    f"## Slide {number}\n" + "The crane lifts forty tonnes and is painted blue. " * 30 + "\n\n"
    for number in range(1, 7)
]


def test_the_end_of_a_displaced_run_leaves_the_text_of_the_next_alone(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house, TEXTS)
    desk = Desk(open_window(task.user).page, task).open()
    page = desk.page
    desk.edit(1)
    desk.type(" Once.")
    desk.press("Control+Enter")
    expect(page.locator("#tail")).not_to_be_empty()
    first = page.locator("#run").get_attribute("data-run")

    # A look at the first run is under way, so the one at its end waits behind it, until the save
    # has been answered.
    saves: list[tuple[Route, APIResponse]] = []
    looks: list[Route] = []
    desk.edit(1)
    desk.type(" Twice.")
    page.route("**/correction", lambda route: saves.append((route, route.fetch())))
    address = re.compile(rf"/regenerations/{first}$")
    page.route(address, lambda route: looks.append(route))
    desk.press("Control+Enter")
    while not (saves and looks):
        page.wait_for_timeout(50)
    page.wait_for_timeout(500)
    for route, answer in saves:
        route.fulfill(response=answer)
    expect(page.locator("#run")).not_to_have_attribute("data-run", first or "")
    expect(page.locator("#writing")).to_have_count(1)
    page.route(address, lambda route: route.continue_())
    for route in looks:
        route.continue_()
    desk.wait_for_the_run()
    expect(desk.segments).to_have_count(6)
    expect(desk.number(6)).to_contain_text("## Slide 6")
