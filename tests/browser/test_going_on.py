"""A text that is not at its end: whatever happened, there is one way on, below its last segment."""

from playwright.sync_api import expect

from app.models import Regeneration, RunState, now
from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.support.studio import Studio

# Long enough to be stopped in the middle.
LONG = [
    f"## Slide {number}\n" + "The crane lifts forty tonnes and is painted blue. " * 30 + "\n\n"
    for number in range(1, 7)
]


def stopped(house: Studio, open_window: OpenWindow) -> Desk:
    """Segment 2 is corrected; the run after it is stopped at its first words."""
    task = add_task(house, LONG)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(2)
    desk.type(" Changed.")
    desk.press("Control+Enter")
    expect(desk.page.locator("#tail")).not_to_be_empty()
    desk.press("s")
    expect(desk.run).to_contain_text("stopped")
    # What had come of the next segment stands as one, and nothing is being written.
    expect(desk.segments).not_to_have_count(2)
    expect(desk.page.locator("#writing")).to_have_count(0)
    return desk


def one_way_on(desk: Desk, name: str) -> None:
    """There is one button that has the text continued; W presses it, and it is."""
    again = desk.page.locator("#again")
    below = desk.page.locator("#segs ~ #open-end #again")
    expect(again).to_have_count(1)
    expect(below).to_contain_text(name)
    expect(desk.page.locator("#write-on, #stop")).to_have_count(0)
    before = desk.run.get_attribute("data-run")
    desk.press("w")
    expect(desk.run).not_to_have_attribute("data-run", before or "none")
    expect(
        desk.page.locator("#stop").or_(desk.page.locator('[data-run-state="done"]'))
    ).to_have_count(1)
    expect(again).to_have_count(0)


def test_after_stop(house: Studio, open_window: OpenWindow) -> None:
    one_way_on(stopped(house, open_window), "Continue writing")


def test_after_stop_and_an_edit_of_the_last_segment(house: Studio, open_window: OpenWindow) -> None:
    desk = stopped(house, open_window)
    last = desk.segments.count()
    desk.edit(last)
    desk.type(" The last.")
    desk.press("Control+Shift+Enter")
    expect(desk.number(last)).to_have_attribute("data-state", "edited")
    expect(desk.run).to_be_hidden()
    one_way_on(desk, "Continue writing")


def test_after_stop_and_undo(house: Studio, open_window: OpenWindow) -> None:
    desk = stopped(house, open_window)
    # It displaced the imported text, which is complete.
    desk.press("u")
    expect(desk.segments).to_have_count(6)
    expect(desk.page.locator("#again, #write-on, #stop")).to_have_count(0)
    # Now the one that is stopped displaces one that was being written.
    desk.edit(1)
    desk.type(" Once.")
    desk.press("Control+Enter")
    expect(desk.page.locator("#tail")).not_to_be_empty()
    desk.edit(1)
    desk.type(" Twice.")
    desk.press("Control+Enter")
    expect(desk.run).to_contain_text("Run 4")
    expect(desk.page.locator("#tail")).not_to_be_empty()
    desk.press("s")
    expect(desk.run).to_contain_text("stopped")
    desk.press("u")
    expect(desk.run).to_contain_text("Run 3")
    one_way_on(desk, "Continue writing")


def test_after_a_failure(house: Studio, open_window: OpenWindow) -> None:
    desk = stopped(house, open_window)
    with house.sessions.begin() as db:
        run = db.get_one(Regeneration, int(desk.run.get_attribute("data-run") or 0))
        run.state, run.error, run.finished_at = RunState.FAILED, "The engine crashed.", now()
    desk.page.reload()
    expect(desk.run).to_contain_text("The engine crashed.")
    one_way_on(desk, "Retry")
