"""Real Chromium, a real worker, the real server: what an annotator sees of a model that writes."""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from app.annotation.edits.path import Path as TreePath
from app.domain.segments import RuleKind
from app.models import Draft, Project, Regeneration, RunState
from app.regenerations import leaf
from tests.browser.conftest import OUTPUT, OpenWindow, chromium, open_window
from tests.browser.desk import Desk, add_task
from tests.browser.test_accessible import violations
from tests.support.studio import Studio, studio
from tests.vllm.conftest import Running

__all__ = ["chromium", "open_window"]

LEASE_S = 3.0
# Other things may run on the machine, and the model is one of them.
PATIENCE_MS = 90_000
# The id of an empty line in the tiny model's vocabulary; so paragraphs are some lines long.
EMPTY_LINE = "288"
WRITES = {"seed": 3, "temperature": 1.0, "logit_bias": {EMPTY_LINE: 7.0}}
# Until it is stopped, for half a minute and more; and to an end after a dozen seconds or two.
ENDLESS = WRITES | {"max_tokens": 14_000}
ENDING = WRITES | {"max_tokens": 4000}


@pytest.fixture(scope="module")
def house(vllm: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio whose worker asks the real server."""
    settings = {
        "ITERDPO_ENGINE": "openai",
        "ITERDPO_ENGINE_URL": vllm.url,
        "ITERDPO_LEASE_S": str(LEASE_S),
    }
    with studio(tmp_path_factory.mktemp("house") / "data", **settings) as made:
        made.start("app")
        made.start("worker")
        yield made


@dataclass
class Work:
    """A desk at which a model writes, and what stands in the database behind it."""

    desk: Desk
    house: Studio

    def correct(self, number: int, words: str = " Corrected.") -> None:
        """Save a correction, after which the model goes on."""
        self.desk.edit(number)
        self.desk.type(words)
        self.desk.press("Control+Enter")

    def streams(self, segments: int) -> None:
        """Until so many segments have come of a text that is still being written."""
        self.is_now("running")
        expect(self.desk.segments.nth(segments - 1)).to_be_attached(timeout=PATIENCE_MS)
        expect(self.desk.page.locator("#tail")).not_to_be_empty()

    def is_now(self, state: str) -> None:
        """Until the page shows the run in that state."""
        expect(self.desk.run).to_have_attribute("data-run-state", state, timeout=PATIENCE_MS)

    def stop(self) -> None:
        """Press Stop, and see that it has stopped."""
        self.desk.page.get_by_role("button", name="Stop").click()
        self.is_now("cancelled")

    def shown(self) -> list[str]:
        """The texts that the page shows: the segments, and last what is none yet.

        Without the newlines that end a segment: the page shows them as its distance.
        """
        found: list[str] = self.desk.page.evaluate(
            """() => [...document.querySelectorAll('#segs > .seg')].map((seg) =>
              seg.querySelector('.prose[data-view=final]') ?? seg.querySelector('.prose'))
              .map((prose) => prose.textContent)"""
        )
        return [text.rstrip("\r\n") for text in found]

    def stored(self) -> list[str]:
        """The texts of the draft's path, without those newlines."""
        with self.house.sessions() as db:
            draft = db.get_one(Draft, self.desk.task.draft.id)
            steps = TreePath.load(db, leaf(db, draft)).segments
        return [step.text.rstrip("\r\n") for step in steps]

    def runs(self) -> list[Regeneration]:
        """The regenerations of the draft, in order."""
        with self.house.sessions() as db:
            of_draft = Regeneration.draft_id == self.desk.task.draft.id
            return list(db.scalars(select(Regeneration).where(of_draft).order_by(Regeneration.id)))

    def shows_what_is_stored(self) -> None:
        """The page and the database have the same text, segment by segment."""
        expect(self.desk.page.locator("#writing")).to_have_count(0)
        stored = self.stored()
        expect(self.desk.segments).to_have_count(len(stored))
        assert self.shown() == stored


def begin(
    house: Studio, open_window: OpenWindow, generation: dict[str, object], **size: object
) -> Work:
    """A fresh task in a window, its project set up for the tiny model."""
    task = add_task(house, rule=RuleKind.PARAGRAPHS)
    with house.sessions.begin() as db:
        db.get_one(Project, task.project.id).generation = generation
    return Work(Desk(open_window(task.user, **size).page, task).open(), house)


def joined(texts: list[str]) -> str:
    """The text from segment 2 on."""
    return "".join(texts[1:])


def test_a_stream_survives_a_reload_and_is_seen_in_a_second_tab_to_its_end(
    house: Studio, open_window: OpenWindow
) -> None:
    first = begin(house, open_window, ENDING)
    first.correct(2)
    first.streams(4)
    before = joined(first.shown())
    first.desk.page.reload()
    first.streams(5)
    assert joined(first.shown()).startswith(before)
    second = Work(Desk(open_window(first.desk.task.user).page, first.desk.task).open(), house)
    second.streams(5)
    for work in (first, second):
        work.is_now("done")
        work.shows_what_is_stored()
    (run,) = first.runs()
    assert run.stop_reason == "length"


def test_stop_ends_it_in_the_page_and_on_the_server(
    house: Studio, open_window: OpenWindow, vllm: Running
) -> None:
    work = begin(house, open_window, ENDLESS)
    work.correct(2)
    work.streams(4)
    before = joined(work.shown())
    work.stop()
    work.shows_what_is_stored()
    assert joined(work.shown()).startswith(before)
    deadline = time.monotonic() + 5
    while vllm.metric("vllm:num_requests_running"):
        assert time.monotonic() < deadline
    # And goes on from there when it is asked to.
    stopped = joined(work.shown())
    work.desk.page.get_by_role("button", name="Continue writing").click()
    work.streams(5)
    assert joined(work.shown()).startswith(stopped)
    work.stop()
    work.shows_what_is_stored()


def test_a_segment_is_corrected_while_the_next_ones_are_written(
    house: Studio, open_window: OpenWindow
) -> None:
    work = begin(house, open_window, ENDLESS)
    work.correct(2)
    work.streams(5)
    third = work.shown()[2]
    # Keys go to the segment even while text arrives below it.
    work.correct(4, " Corrected while it streams.")
    expect(work.desk.number(4)).to_have_attribute("data-state", "edited")
    work.streams(6)
    assert work.shown()[2] == third
    first, second = work.runs()
    assert (first.state, second.state) == (RunState.SUPERSEDED, RunState.RUNNING)
    work.stop()
    work.shows_what_is_stored()
    assert "Corrected while it streams." in work.stored()[3]


def test_a_worker_that_is_killed_is_replaced_and_the_text_goes_on(
    house: Studio, open_window: OpenWindow
) -> None:
    work = begin(house, open_window, ENDING)
    work.correct(2)
    work.streams(4)
    house.kill("worker", signal.SIGKILL)
    before = joined(work.shown())
    house.start("worker")
    work.is_now("done")
    work.shows_what_is_stored()
    text = joined(work.shown())
    assert text.startswith(before)
    assert len(text) > len(before)
    (run,) = work.runs()
    # A machine that is busy enough can let a living worker's short lease run out, too.
    assert run.attempt >= 2
    assert run.stop_reason == "length"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (820, 1180)])
def test_it_is_fit_to_be_seen_while_it_streams(
    house: Studio, open_window: OpenWindow, width: int, height: int, scheme: str
) -> None:
    work = begin(house, open_window, ENDLESS, width=width, height=height, scheme=scheme)
    work.correct(2)
    work.streams(5)
    page = work.desk.page
    OUTPUT.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=OUTPUT / f"streaming-{width}-{scheme}.png")
    assert json.dumps(violations(page)) == "[]"
    assert fits(page)
    work.stop()


def fits(page: Page) -> bool:
    """Nothing scrolls sideways: the page does not, and no text runs out of its place."""
    wide: bool = page.evaluate(
        """() => [document.documentElement, ...document.querySelectorAll('#scroll, .prose')]
          .every((element) => element.scrollWidth <= element.clientWidth + 1)"""
    )
    return wide
