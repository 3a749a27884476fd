"""A course of the LongWriter-V app: imported in the browser, corrected, again a segment a slide."""

from pathlib import Path

from playwright.sync_api import expect
from sqlalchemy import select

from app.models import Draft, Role
from app.projects import service
from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, Task
from tests.db.test_import_folders import course
from tests.support.factories import add_user
from tests.support.imports import archive
from tests.support.studio import Studio

SCRIPTS = [
    f"Now to picture {number}: the crane lifts {number} tonnes and is painted blue."
    for number in range(1, 6)
]


def one_segment_a_slide(desk: Desk) -> None:
    """Five segments, and each speaks of its slide."""
    expect(desk.segments).to_have_count(5)
    for number in range(1, 6):
        segment = desk.number(number)
        expect(segment).to_contain_text(f"Now to picture {number}:")
        expect(segment).to_have_attribute("data-image", str(number - 1))


def test_a_corrected_course_has_again_one_segment_a_slide(
    house: Studio, open_window: OpenWindow, tmp_path: Path
) -> None:
    packed = archive(tmp_path / "course.zip", course("physics/cranes", *SCRIPTS))
    with house.sessions.begin() as db:
        admin = add_user(db, role=Role.ADMIN)
        project = service.add(db, name="cranes")
    page = open_window(admin).page
    page.goto(f"/projects/{project.id}/import")
    page.get_by_label("File", exact=True).set_input_files(packed)
    page.get_by_role("button", name="Import").click()
    report = page.get_by_role("status", name="Result")
    # On a busy machine the process that imports takes its time to start.
    expect(report).to_be_visible(timeout=90_000)
    expect(report).to_contain_text("1 sample was added from course.zip. Segments: 5. Images: 5.")
    expect(report).to_contain_text("cut into paragraphs from now on")
    report.get_by_role("link", name="Show the samples").click()
    page.get_by_role("link", name="cranes", exact=True).last.click()
    expect(page.get_by_text("paragraphs", exact=True)).to_have_count(1)
    page.get_by_role("button", name="Start a draft").click()
    page.wait_for_url("**/drafts/*")
    with house.sessions() as db:
        draft = db.scalars(select(Draft).where(Draft.user_id == admin.id)).one()
    desk = Desk(page, Task(draft, admin, project)).open()
    one_segment_a_slide(desk)
    desk.edit(2)
    desk.type(" Not red.")
    desk.press("Control+Enter")
    desk.wait_for_the_run()
    one_segment_a_slide(desk)
    page.reload()
    one_segment_a_slide(desk)
