"""What the model was unsure of: underlined on request, and the least sure segments first."""

import json
import math

import pytest
from playwright.sync_api import Page, expect

from app.domain.certainty import Certainty, WeakWord
from tests.browser.conftest import OpenWindow
from tests.browser.desk import LECTURE, Desk, Task, add_task
from tests.browser.test_accessible import violations
from tests.support.studio import Studio


def weak(number: int, *words: tuple[str, float]) -> tuple[WeakWord, ...]:
    """Words of a segment of the lecture with their probabilities, in order."""
    text = LECTURE[number - 1]
    places = [(text.index(word), word, math.log(probability)) for word, probability in words]
    return tuple(WeakWord(at, at + len(word), logprob) for at, word, logprob in places)


# From the least sure: 3, 4, 2, 5, 1; of the sixth nothing is known.
CERTAINTIES = {
    1: Certainty(-0.1, ()),
    2: Certainty(-0.4, weak(2, ("twelve", 0.12))),
    3: Certainty(-0.9, weak(3, ("forty", 0.08), ("1962", 0.002))),
    4: Certainty(-0.6, weak(4, ("潮汐", 0.2), ("九", 0.11))),
    5: Certainty(-0.3, ()),
}


@pytest.fixture
def task(house: Studio) -> Task:
    return add_task(house, certainties=CERTAINTIES)


def order(page: Page) -> list[str]:
    """What stands in the list, from top to bottom: numbers of segments, the run, the tail."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('#segs > li:not([hidden])')]
          .map((each) => [each.getBoundingClientRect().top, each.dataset.number ?? each.id])
          .sort(([one], [other]) => one - other).map(([, name]) => name)"""
    )
    return found


def underlined(page: Page) -> bool:
    """Whether weak words are marked to the eye."""
    line: str = page.locator(".weak").first.evaluate(
        "(word) => getComputedStyle(word).textDecorationLine"
    )
    return line == "underline"


def test_the_text_stays_exact_and_says_where_the_model_was_unsure(
    task: Task, open_window: OpenWindow
) -> None:
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    for number, text in enumerate(LECTURE, start=1):
        prose = desk.number(number).locator(".prose")
        assert prose.text_content() == text.rstrip("\n")
        prose.evaluate("(prose) => getSelection().selectAllChildren(prose)")
        assert page.evaluate("getSelection().toString()") == text.rstrip("\n")
    assert underlined(page)
    marked = desk.number(4).locator(".weak")
    expect(marked).to_have_text(["潮汐", "九"])
    expect(marked.last).to_have_attribute("title", "The model was unsure here: 11 %")
    expect(desk.number(3).locator(".unsure")).to_have_text(
        "The model was unsure of: “forty” 8 %, “1962” below 1 %"
    )


def test_the_underline_is_switched_off_and_stays_off(task: Task, open_window: OpenWindow) -> None:
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    switch = page.get_by_role("button", name="Underline words that the model was unsure of")
    with page.expect_response("**/preferences"):
        desk.press("m")
    assert not underlined(page)
    # The server says so in the page itself: nothing flashes before a script has run.
    assert 'data-underline="off"' in page.request.get(task.path).text()
    page.reload()
    expect(desk.active).to_have_count(1)
    expect(switch).to_have_attribute("aria-pressed", "false")
    assert not underlined(page)
    expect(desk.number(3).locator(".unsure")).to_be_hidden()
    with page.expect_response("**/preferences"):
        switch.click()
    assert underlined(page)


def test_the_least_sure_come_first_and_the_keyboard_follows(
    task: Task, open_window: OpenWindow
) -> None:
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    desk.press("l")
    assert order(page) == ["3", "4", "2", "5", "1", "6"]
    expect(desk.active).to_have_attribute("data-number", "3")
    desk.press("j", "j")
    expect(desk.active).to_have_attribute("data-number", "2")
    desk.press("a")
    # The next less unsure one, not the one that stood after it in the text.
    expect(desk.active).to_have_attribute("data-number", "5")
    expect(page.get_by_role("button", name="Least sure first 4")).to_have_attribute(
        "aria-pressed", "true"
    )
    assert order(page) == ["3", "4", "5", "1", "2", "6"]
    desk.press("k")
    expect(desk.active).to_have_attribute("data-number", "4")
    desk.press("l")
    assert order(page) == ["1", "2", "3", "4", "5", "6"]
    expect(desk.active).to_have_attribute("data-number", "4")
    desk.press("j")
    expect(desk.active).to_have_attribute("data-number", "5")


def test_after_the_last_comes_the_least_sure_that_was_passed_over(
    task: Task, open_window: OpenWindow
) -> None:
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    page.get_by_role("button", name="Least sure first 5").click()
    for _ in range(5):
        desk.press("j")
    expect(desk.active).to_have_attribute("data-number", "6")
    desk.press("a")
    expect(desk.active).to_have_attribute("data-number", "3")


def test_an_open_card_keeps_its_place_and_its_caret(task: Task, open_window: OpenWindow) -> None:
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    desk.press("l", "j", "e")
    expect(desk.text).to_be_focused()
    assert order(page) == ["3", "4", "2", "5", "1", "6"]
    desk.type(" 完。")
    desk.press("Control+Shift+Enter")
    expect(desk.number(4)).to_have_attribute("data-state", "edited")
    expect(desk.active).to_have_attribute("data-number", "2")
    assert order(page) == ["3", "2", "5", "1", "4", "6"]
    expect(desk.number(4).locator(".weak")).to_have_count(0)


def test_a_run_stands_above_and_what_it_writes_below(task: Task, open_window: OpenWindow) -> None:
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    desk.press("l", "e")
    expect(desk.text).to_be_focused()
    desk.type(" More.")
    page.evaluate(
        """() => {
          window.orders = [];
          new MutationObserver(() => orders.push(
            [...document.querySelectorAll('#segs > li')]
              .map((each) => [each.getBoundingClientRect().top, each.dataset.number ?? each.id])
              .sort(([one], [other]) => one - other).map(([, name]) => name).join(' ')
          )).observe(document.querySelector('#segs'), {childList: true});
        }"""
    )
    desk.press("Control+Enter")
    desk.wait_for_the_run()
    seen = page.evaluate("orders")
    assert "run 2 1 3 writing" in seen
    assert order(page) == ["run", "2", "1", "3", "4", "5", "6"]
    expect(page.get_by_role("button", name="Least sure first 2")).to_be_visible()
    desk.press("l")
    assert order(page) == ["1", "2", "3", "run", "4", "5", "6"]


def test_where_nothing_is_known_nothing_is_offered(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    page = open_window(task.user).page
    desk = Desk(page, task).open()
    expect(page.locator("#filter-unsure")).to_have_count(0)
    expect(page.locator("#underline")).to_be_hidden()
    desk.press("l")
    assert order(page) == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing(task: Task, open_window: OpenWindow, scheme: str, width: int) -> None:
    page = open_window(task.user, scheme=scheme, width=width).page
    desk = Desk(page, task).open()
    desk.press("l", "h")
    expect(page.locator("#history").get_by_text("41 % per token")).to_be_visible()
    assert json.dumps(violations(page)) == "[]"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
