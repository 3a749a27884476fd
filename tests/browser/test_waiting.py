"""Candidates and look-ahead on screen, by keyboard alone, with a scripted engine."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect
from pydantic import PostgresDsn
from sqlalchemy import select

import worker
from app.domain.corrections import Kind
from app.models import Correction, Draft, Project
from app.models.live import is_live_pair
from app.regenerations import Work
from app.settings import Settings
from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, Task, add_task
from tests.browser.test_accessible import violations
from tests.support.studio import Studio, studio
from worker.engine import Delta, PolicyFacts

SAID = (
    "The crane lifts forty tonnes. It is the oldest one here, and painted twice.",
    "The crane can lift forty tonnes, which is as much as ten elephants.",
    "Forty tonnes: so much does the crane of 1962 lift.",
)


class Slides:
    """An engine that says something about each slide, something else for each candidate.

    It writes the slides from the anchor on to the seventh and stops there; three words a beat.
    """

    policy = PolicyFacts(name="scripted", engine="openai")

    async def check(self) -> None:
        """It is always ready."""

    async def stream(self, work: Work) -> AsyncGenerator[Delta, None]:
        """What follows, from where the kept text ends."""
        begun = (work.before + work.kept[: work.cut]).count("## Slide ")
        text = "".join(self._slide(work, number) for number in range(begun + 1, 8))
        for at in range(len(work.kept) - work.cut, len(text), 12):
            await asyncio.sleep(0.01 * (1 + (work.candidate or 0)))
            yield Delta(text[at : at + 12])
        yield Delta("", stop_reason="stop")

    def _slide(self, work: Work, number: int) -> str:
        said = SAID[work.candidate] if work.candidate is not None else f"About number {number}."
        return f"## Slide {number}\n{said}{'' if number == 7 else chr(10) * 2}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio whose worker runs here, with the engine above."""
    data = tmp_path_factory.mktemp("waiting") / "data"
    with studio(data) as made:
        made.start("app")
        with _working(made):
            yield made


@contextmanager
def _working(made: Studio) -> Iterator[None]:
    url = made.sessions.kw["bind"].url.render_as_string(hide_password=False)
    url = url.replace("postgresql+psycopg:", "postgresql:")
    settings = Settings(DATABASE_URL=PostgresDsn(url), data=made.data)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(worker.run(settings, url, stop, Slides()))
    )
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


def new_task(house: Studio, **generation: int) -> Task:
    """A lecture in a project with these generation settings."""
    task = add_task(house)
    with house.sessions.begin() as db:
        db.get_one(Project, task.project.id).generation = dict(generation)
    return task


@pytest.mark.timeout(180)
def test_one_chooses_and_reads_on_by_keyboard_alone(house: Studio, open_window: OpenWindow) -> None:
    task = new_task(house, candidates=3, look_ahead=2)
    window = open_window(task.user)
    window.expect("409")
    page = window.page
    desk = Desk(page, task).open()
    other = Desk(open_window(task.user).page, task).open()

    # A correction: three candidates come, numbered, and the run waits.
    desk.edit(2)
    desk.type(" Indeed.")
    desk.press("Control+Enter")
    cards = page.locator(".cand:not(.pending)")
    expect(cards).to_have_count(3)
    expect(desk.run).to_contain_text("waits for your choice")
    expect(desk.run).to_have_attribute("data-run-state", "waiting")
    expect(page.locator("#writing")).to_be_hidden()
    expect(desk.segments).to_have_count(2)
    said = cards.nth(1).locator(".prose").inner_text()

    # They are still there after a reload, and in a second tab.
    page.reload()
    expect(cards).to_have_count(3)
    expect(cards.nth(1).locator(".prose")).to_have_text(said)
    other.page.reload()
    expect(other.page.locator(".cand")).to_have_count(3)

    # 2 chooses the second: it stands there as new text, and the run goes on to two more.
    desk.press("2")
    expect(desk.number(3).locator(".prose")).to_have_text(said)
    expect(desk.number(3)).to_have_attribute("data-state", "new")
    expect(desk.active).to_have_attribute("data-number", "3")
    expect(desk.segments).to_have_count(5)
    expect(desk.run).to_contain_text("waits for you")
    expect(desk.run).to_contain_text("The run continues when you reach segment 4")
    expect(page.locator("#tail")).to_contain_text("## Slide 6")
    # The second tab has followed.
    expect(other.number(5)).to_be_visible()
    expect(other.page.locator(".cand")).to_have_count(0)
    expect(other.run).to_contain_text("waits for you")

    # Undo offers the same again; the first is chosen this time.
    desk.press("u")
    expect(cards).to_have_count(3)
    expect(desk.segments).to_have_count(2)
    first = cards.nth(0).locator(".prose").inner_text()
    desk.press("1")
    expect(desk.number(3).locator(".prose")).to_have_text(first)
    expect(desk.segments).to_have_count(5)
    expect(desk.run).to_have_attribute("data-run-state", "waiting")

    # Finish is refused while the text is not complete, and says how to go on.
    page.locator("#finish").focus()
    desk.press("Enter")
    page.get_by_role("button", name="Continue anyway").press("Enter")
    expect(desk.notice).to_contain_text("Press Resume for the rest, or Stop")

    # Reaching the last but one has it write on by itself, to the end.
    desk.number(3).focus()
    desk.press("j")
    desk.wait_for_the_run()
    expect(desk.segments).to_have_count(7)
    with house.sessions() as db:
        draft = db.get_one(Draft, task.draft.id)
        live = db.scalars(
            select(Correction)
            .where(Correction.draft_id == draft.id, is_live_pair())
            .order_by(Correction.id)
        ).all()
        assert [pair.kind for pair in live] == [Kind.REWRITE, Kind.CHOICE, Kind.CHOICE]


def waiting_desk(house: Studio, open_window: OpenWindow) -> Desk:
    """Four segments of seven, the first corrected; the second is the one that is read."""
    task = new_task(house, look_ahead=3)
    desk = Desk(open_window(task.user).page, task).open()
    desk.edit(1)
    desk.type(" Indeed.")
    desk.press("Control+Enter")
    expect(desk.run).to_have_attribute("data-run-state", "waiting")
    expect(desk.segments).to_have_count(4)
    return desk


def test_w_has_it_write_on(house: Studio, open_window: OpenWindow) -> None:
    desk = waiting_desk(house, open_window)
    desk.press("w")
    desk.wait_for_the_run()
    expect(desk.segments).to_have_count(7)


def test_s_stops_what_waits(house: Studio, open_window: OpenWindow) -> None:
    desk = waiting_desk(house, open_window)
    desk.press("s")
    expect(desk.run).to_contain_text("stopped")
    expect(desk.page.locator("#writing")).to_have_count(0)
    # The beginning of the fifth was shown, so it stays.
    expect(desk.segments).to_have_count(5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (820, 1180), (390, 844)])
def test_axe_finds_nothing_while_it_waits(
    house: Studio, open_window: OpenWindow, width: int, height: int, scheme: str
) -> None:
    task = new_task(house, candidates=3, look_ahead=2)
    page = open_window(task.user, width=width, height=height, scheme=scheme).page
    desk = Desk(page, task).open()
    desk.edit(2)
    desk.type(" Indeed.")
    desk.press("Control+Enter")
    expect(desk.run).to_contain_text("waits for your choice")
    found = {"choosing": violations(page)}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    desk.press("2")
    expect(desk.run).to_contain_text("The run continues when you reach segment 4")
    found["waiting"] = violations(page)
    assert json.dumps(found) == json.dumps({name: [] for name in found})
