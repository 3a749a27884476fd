"""A project is archived under an annotator's hands: the text stays, the page says why."""

from playwright.sync_api import expect

from app.models import Project
from app.projects import service
from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.browser.test_accessible import violations
from tests.support.studio import Studio

TYPED = " Typed before the archival."


def test_what_is_typed_survives_an_archival(house: Studio, open_window: OpenWindow) -> None:
    task = add_task(house)
    window = open_window(task.user)
    window.expect("409")
    desk = Desk(window.page, task).open()
    desk.edit(2)
    desk.type(TYPED)
    with house.sessions.begin() as db:
        service.archive(db, project=db.get_one(Project, task.project.id))
    desk.press("Control+Enter")
    expect(desk.notice).to_contain_text("This project is archived")
    assert desk.text.input_value().endswith(TYPED)
    # It goes on being kept.
    desk.type(" And after.")

    desk.page.reload()
    expect(desk.notice).to_contain_text("You can read its texts but not change them")
    expect(desk.saved).to_have_text("Read only")
    expect(desk.page.locator("form.editor, #finish, #again, [data-act=edit]")).to_have_count(0)
    kept = desk.number(2).locator(".kept")
    kept.locator("summary").click()
    expect(kept).to_contain_text("Typed before the archival. And after.")
    assert violations(desk.page) == []

    with house.sessions.begin() as db:
        service.reopen(db, project=db.get_one(Project, task.project.id))
    desk.page.reload()
    expect(desk.text).to_have_value(
        "## Slide 2\nThe chart shows twelve ships a day. Most of them carry grain, a few carry "
        f"cars.{TYPED} And after."
    )
