"""Every page as its people see it, full and empty, in each language: axe finds nothing, nothing
overflows."""

import json
from dataclasses import dataclass
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from app.models import Policy, Project, Role, Snapshot, SnapshotState, User, now
from tests.browser.conftest import OpenWindow, Window
from tests.browser.desk import LECTURE, Desk, Task, add_task
from tests.browser.test_accessible import violations
from tests.browser.test_certainty import CERTAINTIES
from tests.db.conftest import Desk as Verbs
from tests.support.factories import add_draft, add_policy, add_project, add_sample, add_user
from tests.support.pairing import add_pair
from tests.support.studio import Studio

LOOKS = [(1440, 900, "light", "en"), (820, 1180, "dark", "zh-CN"), (390, 844, "light", "en")]
# Further widths at which a language's pages are measured, where axe has looked at another one.
MEASURED = {(1440, "en"): (820,), (820, "zh-CN"): (1440, 390)}


@dataclass(frozen=True)
class House:
    """A project with something on every page, one with nothing, and who looks at them."""

    task: Task
    full: str
    empty: str
    pair: int
    building: int
    failed: int
    candidates: str
    admin: User
    trainer: User


def _snapshot(project: Project, **facts: object) -> Snapshot:
    return Snapshot(
        project_id=project.id,
        format="trl",
        template="qwen2.5-vl",
        split={"validation": 0.1, "test": 0.1, "separate_images": True},
        gate={"allowed": ["duplicate"], "max_tokens": 128_000, "min_share": 0.1},
        **facts,
    )


@pytest.fixture
def made(house: Studio) -> House:
    task = add_task(house, certainties=CERTAINTIES)
    with house.sessions.begin() as db:
        admin, trainer = add_user(db, role=Role.ADMIN), add_user(db, role=Role.TRAINER)
        project = db.get_one(Project, task.project.id)
        empty = add_project(db, task.user, trainer)
        sample = add_sample(db, project=project, texts=LECTURE, policy=add_policy(db))
        pair = add_pair(db, sample=sample, number=1, text="Short.", user=task.user)
        project.generation = {"candidates": 3}
        other = add_sample(db, project=project, texts=LECTURE, policy=add_policy(db))
        draft = add_draft(db, sample=other, user=task.user)
        verbs = Verbs(db, draft, task.user)
        verbs.accept(1)
        verbs.correct(2, "## Slide 2\nFourteen ships a day.\n\n", rewrite=True)
        verbs.offer(*(f"## Slide 3\nThe crane, version {number}.\n\n" for number in range(3)))
        base = f"Org/A-model-with-a-long-name-{project.id}"
        adapter = f"/srv/adapters/{project.id}/checkpoint-1200"
        db.add(
            Policy(
                name=f"{base}@round-1",
                engine="vllm",
                base_model=base,
                revision="cc594898137f460bfe9f0759e9844b3ce807cfb5",
                adapter=adapter,
                adapter_hash="a" * 64,
                served_name=base,
                active=True,
                activated_at=now(),
            )
        )
        lease = now() + timedelta(days=1)
        building = _snapshot(
            project,
            name="being-built",
            state=SnapshotState.BUILDING,
            attempt=1,
            stage="rows",
            done=1,
            total=2,
            lease_until=lease,
        )
        failed = _snapshot(
            project,
            name="a-rather-long-name-of-a-snapshot-that-failed",
            state=SnapshotState.FAILED,
            error="The process that built the snapshot died 3 times. See the worker's log.",
            finished_at=now(),
        )
        db.add_all([building, failed])
        db.flush()
        return House(
            task,
            f"/projects/{project.id}",
            f"/projects/{empty.id}",
            pair.id,
            building.id,
            failed.id,
            f"/drafts/{draft.id}",
            admin,
            trainer,
        )


def _too_wide(page: Page) -> list[object]:
    wide: list[object] = page.evaluate(
        """() => [...document.querySelectorAll(innerWidth > 400 ? 'html, .table-box' : 'html')]
          .filter((box) => box.scrollWidth > box.clientWidth)
          .map((box) => `${box.className} ${box.scrollWidth} > ${box.clientWidth}`)"""
    )
    return wide


def _look(page: Page) -> list[object]:
    """What is wrong with the page as it stands, and at the other widths. The narrowest is only
    measured: axe finds there what it finds in the others."""
    narrow, width, height, language = page.evaluate(
        "[innerWidth <= 400, innerWidth, innerHeight, navigator.language]"
    )
    found = _too_wide(page) if narrow else [*violations(page), *_too_wide(page)]
    for other in MEASURED.get((width, language), ()):
        page.set_viewport_size({"width": other, "height": height})
        found += _too_wide(page)
        page.set_viewport_size({"width": width, "height": height})
    return found


def _look_at(window: Window, addresses: tuple[str, ...]) -> dict[str, list[object]]:
    found = {}
    for address in addresses:
        window.page.goto(address)
        for summary in window.page.locator("main details:not([open], .menu) > summary").all():
            if summary.is_visible():
                summary.click()
        found[address] = _look(window.page)
    return {address: wrong for address, wrong in found.items() if wrong}


def _finish_by_keyboard(desk: Desk) -> None:
    """Accept everything; then N, with nothing left to do, stands on Finish."""
    for number in range(1, len(LECTURE) + 1):
        desk.press("a")
        expect(desk.number(number)).to_have_attribute("data-state", "accepted")
    desk.press("n")
    expect(desk.page.locator("#finish")).to_be_focused()
    desk.press("Enter")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("width", "height", "scheme", "language"), LOOKS)
def test_pages_of_admins_and_trainers(
    made: House, open_window: OpenWindow, width: int, height: int, scheme: str, language: str
) -> None:
    full, empty = made.full, made.empty
    look = {"width": width, "height": height, "scheme": scheme, "language": language}
    admin = open_window(made.admin, **look)
    admin.expect("404")
    addresses = (
        *("/queue", "/projects", "/projects?archived=1", "/projects/new", full, empty),
        *(f"{full}/settings", f"{full}/members", f"{full}/samples", f"{empty}/samples"),
        *(f"{full}/samples?search=nothing", f"{full}/import", f"/drafts/{made.task.draft.id}"),
        *(f"{full}/pairs", f"{empty}/pairs", f"{full}/pairs?annotator=nobody"),
        *(f"{full}/pairs/{made.pair}", f"{full}/pairs/gate", f"{empty}/pairs/gate"),
        f"{full}/pairs/gate?found=shorter",
        *(f"{full}/snapshots", f"{empty}/snapshots"),
        *(f"/snapshots/{made.building}", f"/snapshots/{made.failed}"),
        *("/policies", "/people", f"/people/{made.admin.id}", "/tokens", "/account"),
        *("/api/v1/docs", "/nothing/here"),
    )
    assert json.dumps(_look_at(admin, addresses)) == "{}"
    trainer = open_window(made.trainer, **look)
    trainer.expect("403")
    assert json.dumps(_look_at(trainer, ("/", "/tokens", f"{empty}/pairs", "/people"))) == "{}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("width", "height", "scheme", "language"), LOOKS)
def test_pages_of_annotators_and_of_nobody(
    made: House, open_window: OpenWindow, width: int, height: int, scheme: str, language: str
) -> None:
    look = {"width": width, "height": height, "scheme": scheme, "language": language}
    nobody = open_window(**look)
    nobody.expect("404", "401")
    assert json.dumps(_look_at(nobody, ("/login", "/invitation/nonsense"))) == "{}"
    window = open_window(made.task.user, **look)
    window.expect("403")
    addresses = ("/", "/queue?show=open", "/queue?show=done", "/account", f"{made.full}/settings")
    assert json.dumps(_look_at(window, addresses)) == "{}"
    page = window.page
    page.goto(made.candidates)
    expect(page.locator(".cand button")).to_have_count(3)
    found = {"candidates": _look(page)}
    desk = Desk(page, made.task).open()
    _finish_by_keyboard(desk)
    expect(page.locator("#reopen")).to_be_visible()
    found["finished"] = _look(page)
    assert json.dumps(found) == json.dumps({name: [] for name in found})


def test_when_all_is_done_n_leads_to_finish_and_on_to_the_next_task(
    made: House, open_window: OpenWindow
) -> None:
    page = open_window(made.task.user).page
    desk = Desk(page, made.task).open()
    _finish_by_keyboard(desk)
    expect(page.locator("#next-task")).to_be_visible()
    expect(desk.active).to_have_count(1)
    desk.press("n")
    expect(page.locator("#next-task")).to_be_focused()


def test_a_draft_whose_run_waits_opens_where_one_chooses(
    made: House, open_window: OpenWindow
) -> None:
    page = open_window(made.task.user).page
    page.goto(made.candidates)
    expect(page.locator("#segs > .seg.active")).to_have_attribute("data-number", "2")


def test_the_page_of_a_snapshot_follows_what_becomes_of_it(
    house: Studio, made: House, open_window: OpenWindow
) -> None:
    page = open_window(made.admin).page
    page.goto(f"/snapshots/{made.building}")
    expect(page.get_by_text("1 of 2 pairs")).to_be_visible()
    page.get_by_role("button", name="Delete").focus()
    its = update(Snapshot).where(Snapshot.id == made.building)
    with house.sessions.begin() as db:
        db.execute(its.values(done=2))
    expect(page.get_by_text("2 of 2 pairs")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_be_focused()
    with house.sessions.begin() as db:
        db.execute(
            its.values(
                state=SnapshotState.FAILED, error="No luck.", lease_until=None, finished_at=now()
            )
        )
    expect(page.get_by_role("alert")).to_contain_text("No luck.")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0)


def test_the_hint_speaks_of_the_format_that_is_chosen(made: House, open_window: OpenWindow) -> None:
    page = open_window(made.admin).page
    page.goto(f"{made.full}/pairs/gate")
    choice = page.get_by_role("combobox", name="Format")
    hint = page.locator("#format-hint")
    expect(hint).to_contain_text("DPOTrainer")
    choice.select_option("kto")
    expect(hint).to_contain_text("The table here shows pairs")
    page.goto(f"{made.full}/snapshots")
    choice.select_option("kto")
    expect(hint).to_contain_text("KTOTrainer")
    expect(hint).not_to_contain_text("table")
