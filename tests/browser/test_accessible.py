"""axe-core finds nothing on any page; focus is always visible; nothing scrolls sideways."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.models import Role
from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.support.factories import add_user
from tests.support.studio import Studio

AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text()
RUN = """
async () => (await axe.run(document, {runOnly: {type: 'tag', values:
  ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}}))
  .violations.map(({id, nodes}) => [id, nodes.map((node) => node.html.slice(0, 200))])
"""
SIZES = [(1440, 900), (820, 1180), (390, 844)]
SCHEMES = ["light", "dark"]


def violations(page: Page) -> list[object]:
    """What axe objects to in the page as it stands."""
    page.evaluate(AXE)
    found: list[object] = page.evaluate(RUN)
    page.evaluate("delete window.axe")
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_axe_finds_nothing_in_the_workspace(
    house: Studio, open_window: OpenWindow, width: int, height: int, scheme: str
) -> None:
    task = add_task(house)
    page = open_window(task.user, width=width, height=height, scheme=scheme).page
    desk = Desk(page, task).open()
    found = {"reading": violations(page)}
    desk.edit(2)
    desk.type(" More.")
    found["editing"] = violations(page)
    desk.press("Control+Enter")
    desk.wait_for_the_run()
    page.locator(".old summary").click()
    expect(page.locator(".old .seg").first).to_be_visible()
    found["superseded"] = violations(page)
    desk.number(2).click()
    desk.press("h")
    expect(page.locator("#history .hist").first).to_be_visible()
    found["history"] = violations(page)
    desk.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    found["help"] = violations(page)
    desk.press("Escape", "c")
    expect(page.locator("#comparison")).to_be_visible()
    found["compare"] = violations(page)
    assert json.dumps(found) == json.dumps({name: [] for name in found})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_on_the_other_pages(
    house: Studio, open_window: OpenWindow, scheme: str
) -> None:
    task = add_task(house)
    with house.sessions.begin() as db:
        admin = add_user(db, role=Role.ADMIN)
    nobody = open_window(scheme=scheme).page
    nobody.goto("/login")
    found = {"/login": violations(nobody)}
    annotator = open_window(task.user, scheme=scheme)
    annotator.expect("404")
    for address in ("/", "/account", "/nothing/here"):
        annotator.page.goto(address)
        found[f"annotator {address}"] = violations(annotator.page)
    page = open_window(admin, scheme=scheme).page
    project = f"/projects/{task.project.id}"
    for address in (
        "/policies",
        "/",
        "/projects",
        "/projects/new",
        project,
        f"{project}/settings",
        f"{project}/members",
        f"{project}/pairs",
        "/people",
        "/tokens",
    ):
        page.goto(address)
        found[address] = violations(page)
    assert json.dumps(found) == json.dumps({name: [] for name in found})


@pytest.mark.parametrize("width", [1440, 820, 320])
def test_nothing_scrolls_sideways(house: Studio, open_window: OpenWindow, width: int) -> None:
    task = add_task(house)
    page = open_window(task.user, width=width, height=700).page
    desk = Desk(page, task).open()
    desk.edit(2)
    for address in (None, "/"):
        if address:
            page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_covers_the_text_that_one_types_at_400_percent(
    house: Studio, open_window: OpenWindow
) -> None:
    long = "The table has three rows: pilots, tugs and berths. " * 16
    task = add_task(house, ["## Slide 1\nShort.\n\n", f"## Slide 2\n{long}"])
    # 1440 × 900, four times as large: the buttons below the field would take most of the window.
    page = open_window(task.user, width=360, height=225).page
    desk = Desk(page, task).open()
    desk.edit(2)
    desk.press("Control+Home", "x")
    text, buttons = desk.text.bounding_box(), desk.active.locator(".eacts").bounding_box()
    assert text is not None
    assert buttons is not None
    assert buttons["y"] >= text["y"] + text["height"]


def test_focus_is_always_visible_and_thumbnails_are_one_stop(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    page = open_window(task.user).page
    Desk(page, task).open()
    page.locator(".skip").focus()
    thumbnails = 0
    for _ in range(50):
        page.keyboard.press("Tab")
        shown = page.evaluate(
            """() => {
              const element = document.activeElement, box = element.getBoundingClientRect();
              const style = getComputedStyle(element);
              const before = getComputedStyle(element, '::before').backgroundColor;
              const marked = style.outlineStyle !== 'none' || before !== 'rgba(0, 0, 0, 0)';
              return {body: element === document.body, thumb: element.matches('.th'),
                visible: box.width > 0 && marked, html: element.outerHTML.slice(0, 120)};
            }"""
        )
        thumbnails += shown["thumb"]
        assert shown["body"] or shown["visible"], shown["html"]
        if shown["body"]:
            break
    assert thumbnails == 1
