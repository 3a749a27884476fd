"""Keys pressed faster than the server answers: each counts, in order, for what was active then."""

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.support.studio import Studio


class Held:
    """Requests that get no answer until they are let go; those that come later pass."""

    def __init__(self, page: Page, address: str) -> None:
        self.routes: list[Route] = []
        self.holds = True
        page.route(address, self._take)

    def _take(self, route: Route) -> None:
        if self.holds:
            self.routes.append(route)
        else:
            route.continue_()

    def let_go(self) -> None:
        self.holds = False
        for route in self.routes:
            route.continue_()


def test_each_press_of_a_accepts_the_segment_that_was_active_then(
    house: Studio, open_window: OpenWindow
) -> None:
    desk = Desk(open_window((task := add_task(house)).user).page, task).open()
    held = Held(desk.page, "**/acceptance")
    desk.press("a", "a", "a")
    # Before any answer: the next press speaks of the segment that one sees as active.
    expect(desk.active).to_have_attribute("data-number", "4")
    expect(desk.count).to_have_text("0 of 6 done")
    held.let_go()
    expect(desk.count).to_have_text("3 of 6 done")
    expect(desk.active).to_have_attribute("data-number", "4")
    states = [desk.number(n).get_attribute("data-state") for n in (1, 2, 3, 4)]
    assert states == ["accepted"] * 3 + ["untouched"]

    # A key that is held down is one press; more presses than segments accept no more than those.
    for _ in range(3):
        desk.page.keyboard.down("a")
    desk.page.keyboard.up("a")
    expect(desk.active).to_have_attribute("data-number", "5")
    expect(desk.count).to_have_text("4 of 6 done")
    desk.press("a", "a", "a", "a")
    expect(desk.count).to_have_text("6 of 6 done")
    # Undo counts each press too.
    desk.press("u", "u", "u")
    expect(desk.count).to_have_text("3 of 6 done")


def test_ctrl_enter_accepts_card_after_card(house: Studio, open_window: OpenWindow) -> None:
    desk = Desk(open_window((task := add_task(house)).user).page, task).open()
    desk.edit(1)
    held = Held(desk.page, "**/acceptance")
    desk.press("Control+Enter", "Control+Enter", "Control+Enter")
    expect(desk.active).to_have_attribute("data-number", "4")
    held.let_go()
    expect(desk.count).to_have_text("3 of 6 done")
    expect(desk.active).to_have_attribute("data-number", "4")
    expect(desk.text).to_have_count(0)


def test_one_goes_back_to_what_could_not_be_accepted(
    house: Studio, open_window: OpenWindow
) -> None:
    window = open_window((task := add_task(house)).user)
    window.expect("net::ERR_FAILED", "Failed to fetch")
    desk = Desk(window.page, task).open()
    second = f"**/segments/{desk.number(2).get_attribute('data-id')}/acceptance"
    desk.page.route(second, lambda route: route.abort())
    desk.press("a", "a", "a")
    expect(desk.count).to_have_text("2 of 6 done")
    expect(desk.active).to_have_attribute("data-number", "2")
    desk.page.unroute(second)
    desk.press("a")
    expect(desk.count).to_have_text("3 of 6 done")
    expect(desk.active).to_have_attribute("data-number", "4")


def test_no_text_is_taken_while_it_is_being_saved(house: Studio, open_window: OpenWindow) -> None:
    window = open_window((task := add_task(house)).user)
    window.expect("503")
    desk = Desk(window.page, task).open()
    desk.edit(2)
    desk.type(" More.")
    text = desk.text.input_value()
    held = Held(desk.page, "**/correction")
    desk.press("Control+Enter")
    desk.page.keyboard.type(" Lost?")
    expect(desk.text).to_have_value(text)
    # A save that fails gives the card back.
    held.routes.pop().fulfill(status=503)
    expect(desk.page.locator("#messages")).to_contain_text("Nothing was saved")
    expect(desk.text).to_be_editable()
    desk.type(" Kept.")
    desk.press("Control+Enter")
    desk.page.keyboard.type(" Lost?")
    held.let_go()
    desk.wait_for_the_run()
    expect(desk.number(2).locator('[data-view="changes"] ins')).to_have_text(" More. Kept.")
