"""Typing: input methods, the browser's own undo, and keys that must not fire."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.support.studio import Studio


def test_enter_in_a_composition_saves_nothing(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(4)
    desk.press("Control+End")
    devtools = desk.page.context.new_cdp_session(desk.page)
    devtools.send(
        "Input.imeSetComposition", {"text": "qi shi", "selectionStart": 6, "selectionEnd": 6}
    )
    devtools.send(
        "Input.dispatchKeyEvent",
        {
            "type": "rawKeyDown",
            "key": "Process",
            "code": "Enter",
            "windowsVirtualKeyCode": 229,
            "modifiers": 2,
        },
    )
    devtools.send("Input.insertText", {"text": "其实"})
    expect(desk.text).to_be_focused()
    assert desk.text.input_value().endswith("其实")
    expect(desk.active.locator(".compared ins")).to_have_text("其实")
    expect(desk.saved).to_contain_text("Draft saved")


def test_undo_brings_the_typed_text_back_after_reset(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(2)
    model = desk.text.input_value()
    desk.press("Control+End")
    desk.page.keyboard.type(" More.")
    desk.page.get_by_role("button", name="Reset to model text").click()
    expect(desk.text).to_have_value(model)
    desk.press("Control+z")
    expect(desk.text).to_have_value(f"{model} More.")


def test_letters_do_nothing_while_typing_and_when_switched_off(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(2)
    desk.press("Control+End")
    desk.page.keyboard.type(" ajku?")
    assert desk.text.input_value().endswith(" ajku?")
    expect(desk.count).to_have_text("0 of 6 done")
    desk.press("Control+a", "Control+z")
    desk.press("Escape")
    desk.press("?")
    expect(desk.page.get_by_role("dialog")).to_be_visible()
    desk.page.get_by_label("Single-letter shortcuts").uncheck()
    desk.press("Escape")
    desk.page.reload()
    expect(desk.active).to_have_count(1)
    desk.press("Escape", "Escape", "a")
    desk.press("Alt+ArrowDown")
    expect(desk.count).to_have_text("0 of 6 done")


def test_an_unchanged_text_is_accepted(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(2)
    desk.page.keyboard.type("x")
    desk.press("Backspace", "Control+Enter")
    expect(desk.number(2)).to_have_attribute("data-state", "accepted")
    expect(desk.run).to_be_hidden()


def test_reviewed_text_is_displaced_only_after_a_question(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.go(5)
    desk.press("a")
    expect(desk.count).to_have_text("1 of 6 done")
    desk.edit(2)
    expect(desk.active.locator(".conseq")).to_contain_text("4 segments, 1 of them reviewed")
    desk.type(" More.")
    desk.press("Control+Enter")
    question = desk.page.get_by_role("dialog")
    expect(question).to_contain_text("reviewed")
    question.get_by_role("button", name="Cancel").click()
    expect(desk.text).to_have_value(
        "## Slide 2\nThe chart shows twelve ships a day. Most of them carry grain, a few carry "
        "cars. More."
    )
    desk.text.focus()
    desk.press("Control+Enter")
    question.get_by_role("button", name="Continue anyway").click()
    expect(desk.number(2)).to_have_attribute("data-state", "edited")
    desk.wait_for_the_run()


def test_structure_is_changed_and_changed_back(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(2)
    desk.text.evaluate("area => area.setSelectionRange(42, 42)")
    desk.active.get_by_label("More for segment 2").click()
    desk.page.get_by_role("button", name="Split at the cursor").click()
    expect(desk.segments).to_have_count(7)
    desk.edit(2)
    desk.active.get_by_label("More for segment 2").click()
    desk.page.get_by_role("button", name="Merge with next segment").click()
    expect(desk.segments).to_have_count(6)
    desk.edit(3)
    desk.active.get_by_label("More for segment 3").click()
    desk.page.get_by_role("button", name="Delete, keep what follows").click()
    expect(desk.segments).to_have_count(5)
    for left in (6, 7, 6):
        desk.press("u")
        expect(desk.segments).to_have_count(left)
    expect(desk.number(2)).to_contain_text("The chart shows twelve ships a day. Most of them")


def test_a_paragraph_runs_from_right_to_left_where_its_script_does(
    house: Studio, open_window: OpenWindow
) -> None:
    task = add_task(house, ["## Slide 1\nשלום עולם.\n\n", "## Slide 2\nThe end."])
    desk = Desk(open_window(task.user).page, task).open()
    text = desk.number(1).locator(".prose")
    # The full stop ends the sentence: in Hebrew it stands at the left, and the line at the right.
    places = text.evaluate(
        """(prose) => {
          const [node] = prose.childNodes;
          const place = (at) => {
            const range = document.createRange();
            range.setStart(node, at);
            range.setEnd(node, at + 1);
            return range.getBoundingClientRect().x;
          };
          const first = node.data.indexOf("ש");
          return { heading: place(0), first: place(first), stop: place(node.data.length - 1) };
        }"""
    )
    assert places["heading"] < places["stop"] < places["first"]
    desk.edit(1)
    assert desk.text.evaluate("(area) => getComputedStyle(area).unicodeBidi") == "plaintext"
