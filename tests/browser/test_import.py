"""An import in the browser: a look at the file, another column chosen, then the import."""

import signal

from playwright.sync_api import expect
from sqlalchemy import select

from app.models import Role, Sample
from tests.browser.conftest import OUTPUT, OpenWindow
from tests.browser.test_accessible import violations
from tests.support.factories import add_project, add_user
from tests.support.imports import lines
from tests.support.studio import Studio

# On a busy machine a worker and its process take their time to start.
STARTING_MS = 90_000
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
    added = page.get_by_text("4 samples were added from fragen.jsonl")
    expect(added).to_be_visible(timeout=STARTING_MS)
    with house.sessions.begin() as db:
        asked = select(Sample.instruction).where(Sample.project_id == project.id)
        assert "Was ist 3?" in set(db.scalars(asked))


def test_progress_the_result_and_the_errors_are_on_a_page_that_can_be_loaded_again(
    house: Studio, open_window: OpenWindow
) -> None:
    with house.sessions.begin() as db:
        admin = add_user(db, role=Role.ADMIN)
        project = add_project(db)
        db.flush()
        db.expunge_all()
    page = open_window(admin).page
    broken = ROWS + b'{"question": "Write.", "L": "many"}\n'
    for name, content, said in (
        ("good.jsonl", ROWS, "4 samples were added from good.jsonl"),
        ("broken.jsonl", broken, "A whole number of words, above 0, is needed."),
    ):
        page.goto(f"{house.url}/projects/{project.id}/import")
        page.get_by_label("File", exact=True).set_input_files(
            {"name": name, "mimeType": "application/jsonl", "buffer": content}
        )
        page.get_by_role("button", name="Import", exact=True).click()
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        expect(page.get_by_text(said)).to_be_visible(timeout=STARTING_MS)
        page.reload()
        expect(page.get_by_text(said)).to_be_visible()
        assert violations(page) == []
        page.screenshot(path=OUTPUT / f"import-{name}.png", full_page=True)
    page.goto(f"{house.url}/projects/{project.id}/import")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="good.jsonl"))
    expect(row).to_contain_text("done")
    expect(row).to_contain_text(admin.display_name)
    page.screenshot(path=OUTPUT / "import-list.png", full_page=True)


def test_an_import_that_waits_shows_it_until_a_worker_comes(
    house: Studio, open_window: OpenWindow
) -> None:
    with house.sessions.begin() as db:
        admin = add_user(db, role=Role.ADMIN)
        project = add_project(db)
        db.flush()
        db.expunge_all()
    house.kill("worker", signal.SIGTERM)
    try:
        page = open_window(admin).page
        page.goto(f"{house.url}/projects/{project.id}/import")
        page.get_by_label("File", exact=True).set_input_files(
            {"name": "wait.jsonl", "mimeType": "application/jsonl", "buffer": ROWS}
        )
        page.get_by_role("button", name="Import", exact=True).click()
        expect(page.get_by_text("Waits for a worker")).to_be_visible()
        assert violations(page) == []
        page.screenshot(path=OUTPUT / "import-waiting.png", full_page=True)
    finally:
        house.start("worker")
    expect(page.get_by_text("4 samples were added from wait.jsonl")).to_be_visible(
        timeout=STARTING_MS
    )
