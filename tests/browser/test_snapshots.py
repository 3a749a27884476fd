"""A snapshot from the form to the file on disk, in real Chromium, with a real worker."""

import hashlib
import json
import re
import zipfile
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from app.images.store import ImageStore
from app.models import Role, User
from tests.browser.conftest import OpenWindow
from tests.browser.test_accessible import SCHEMES, violations
from tests.support.factories import add_project, add_sample, add_user
from tests.support.pairing import add_pair, show_images
from tests.support.studio import Studio


@dataclass(frozen=True)
class Place:
    """A project with four pairs of two annotators, and its admin."""

    admin: User
    annotator: str
    url: str


@pytest.fixture
def place(house: Studio) -> Place:
    store = ImageStore(house.data / "images")
    with house.sessions.begin() as db:
        admin, one, two = add_user(db, role=Role.ADMIN), add_user(db), add_user(db)
        project = add_project(db, one, two)
        for number, user in enumerate((one, one, one, two)):
            sample = add_sample(db, project=project)
            show_images(db, store, sample, f"#4{number}7080")
            text = f"## Slide 1\nA better welcome {number}.\n\n"
            add_pair(db, sample=sample, number=1, text=text, user=user)
        return Place(admin, one.name, f"/projects/{project.id}")


def test_a_long_name_hides_no_button(house: Studio, open_window: OpenWindow, place: Place) -> None:
    page = open_window(place.admin, width=820, height=1180).page
    page.goto(f"{place.url}/snapshots")
    page.get_by_label("Name", exact=True).fill("a" * 64)
    page.get_by_role("button", name="Create snapshot").click()
    expect(page.get_by_role("link", name=re.compile("^Download"))).to_be_visible(timeout=60_000)
    width = page.locator(".table-box").first.evaluate("box => [box.scrollWidth, box.clientWidth]")
    assert width[0] <= width[1]


@pytest.mark.timeout(300)
def test_a_snapshot_is_made_watched_and_downloaded(
    house: Studio, open_window: OpenWindow, place: Place
) -> None:
    page = open_window(place.admin).page
    page.goto(f"{place.url}/snapshots")
    expect(page.locator("#preview .big")).to_have_text("4")
    page.get_by_role("heading", name="Pairs included").click()
    page.get_by_label("Annotator", exact=True).fill(place.annotator)
    page.get_by_label("Annotator", exact=True).press("Tab")
    # The count follows the form, and the address the filter.
    expect(page.locator("#preview .big")).to_have_text("3")
    expect(page).to_have_url(re.compile(rf"/snapshots\?annotator={place.annotator}$"))
    page.get_by_label("Name", exact=True).fill("Round 1")
    page.get_by_label("Name", exact=True).fill("round-1")
    page.get_by_role("button", name="Create snapshot").click()
    # The row becomes ready by itself.
    row = page.get_by_role("row", name=re.compile("round-1"))
    expect(row).to_be_visible()
    with page.expect_download(timeout=120_000) as begun:
        row.get_by_role("link", name=re.compile("Download")).click(timeout=120_000)
    file = begun.value.path()
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        sums = hashlib.sha256(archive.read("round-1/SHA256SUMS")).hexdigest()
        rows = archive.read("round-1/train/metadata.jsonl").splitlines()
    assert len(rows) == 3
    assert {json.loads(one)["annotator"] for one in rows} == {place.annotator}
    row.get_by_role("link", name="round-1", exact=True).click()
    expect(page.get_by_text(sums)).to_be_visible()
    page.go_back()
    page.goto(f"{place.url}/pairs")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("a[data-pair]").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Snapshots that contain it")).to_be_visible()
    here = page.url
    page.keyboard.press("j")
    page.wait_for_url(lambda url: url != here)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.timeout(300)
def test_axe_finds_nothing_on_pairs_and_snapshots(
    house: Studio, open_window: OpenWindow, place: Place, scheme: str
) -> None:
    page = open_window(place.admin, scheme=scheme).page
    for name in ("one", "two"):
        page.goto(f"{place.url}/snapshots")
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("button", name="Create snapshot").click()
        row = page.get_by_role("row", name=re.compile(name))
        expect(row.get_by_role("link", name=re.compile("Download"))).to_be_visible(timeout=120_000)
    found = {"list": violations(page)}
    row.get_by_role("link", name="two", exact=True).click()
    expect(page.get_by_role("heading", name="two")).to_be_visible()
    found["snapshot"] = violations(page)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("They contain the same pairs")).to_be_visible()
    found["changes"] = violations(page)
    page.goto(f"{place.url}/pairs")
    found["pairs"] = violations(page)
    page.locator("a[data-pair]").first.click()
    expect(page.get_by_role("heading", name="Its row in each format")).to_be_visible()
    for summary in page.locator("summary").all():
        if summary.is_visible():
            summary.click()
    found["pair"] = violations(page)
    assert json.dumps(found) == json.dumps({name: [] for name in found})
