"""An import in the browser: a look at the file, another column chosen, then the import."""

from playwright.sync_api import expect
from sqlalchemy import select

from app.models import Role, Sample
from tests.browser.conftest import OUTPUT, OpenWindow
from tests.browser.test_accessible import violations
from tests.support.factories import add_project, add_user
from tests.support.imports import lines
from tests.support.studio import Studio

ROWS = lines(
    *(
        {"frage": f"Was ist {number}?", "question": f"What is {number}?", "answer": "One.\n\nTwo."}
        for number in range(4)
    )
)


def test_a_look_then_another_column_then_the_import(house: Studio, open_window: OpenWindow) -> None:
    with house.sessions.begin() as db:
        admin = add_user(db, role=Role.ADMIN)
        project = add_project(db)
        db.flush()
        db.expunge_all()
    page = open_window(admin).page
    page.goto(f"{house.url}/projects/{project.id}/import")
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "fragen.jsonl", "mimeType": "application/jsonl", "buffer": ROWS}
    )
    page.get_by_role("button", name="Look first").click()
    expect(page.get_by_role("heading", name="What fragen.jsonl holds")).to_be_visible()
    expect(page.get_by_text("What is 0?")).to_be_visible()
    assert violations(page) == []
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / "import-look.png", full_page=True)
    page.get_by_label("instruction", exact=True).select_option("frage")
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_text("Was ist 0?")).to_be_visible()
    page.get_by_role("button", name="Import").first.click()
    expect(page.get_by_text("4 samples were added from fragen.jsonl")).to_be_visible()
    with house.sessions.begin() as db:
        asked = select(Sample.instruction).where(Sample.project_id == project.id)
        assert "Was ist 3?" in set(db.scalars(asked))
