"""What a page hears of a text that is being written, over real HTTP."""

import asyncio
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from app import regenerations
from app.domain.certainty import Certainty, WeakWord
from app.domain.segments import Rule, RuleKind, Splitter
from app.models import Role, RunState
from app.regenerations import Candidate, Cut, Ending, Outcome, Portion
from tests.support.factories import add_user
from tests.worker.conftest import Site, Studio, lecture, until
from tests.worker.test_waiting import choose, configure, offered, write_on

TEXT = "## Slide 4\nOne.\n\n## Slide 5\r\nZwei 🙂 drei.\n\n\n##  Slide 6\nThe end"


@dataclass
class Page:
    """The script of the page, in small: it knows what it has and refuses what does not fit."""

    run: int
    segments: dict[int, str] = field(default_factory=dict)
    tail: str = ""
    have: int = 0
    cut: int = 0
    last: str = ""
    states: list[str] = field(default_factory=list)
    candidates: list[int] = field(default_factory=list)
    error: str | None = None
    done: bool = False
    twice: int = 0

    def hear(self, event: str, event_id: str, data: dict[str, Any]) -> None:
        self.last = event_id
        match event:
            case "tok":
                assert data["start"] == self.have, "text is missing or comes twice"
                assert data["text"]
                self.tail += data["text"]
                self.have += len(data["text"])
            case "seg":
                assert data["html"].count("<li") == 1
                if data["segment_id"] in self.segments:
                    self.twice += 1
                    return
                assert data["start"] == self.cut, "a segment is missing or out of order"
                length = data["end"] - data["start"]
                assert data["end"] <= self.have, "a segment before its text"
                self.segments[data["segment_id"]] = self.tail[:length]
                self.tail, self.cut = self.tail[length:], data["end"]
            case "state":
                self.states.append(data["state"])
                self.error = data["error"]
            case "candidates":
                self.candidates.append(data["count"])
            case "done":
                self.done = True

    @property
    def text(self) -> str:
        return "".join(self.segments.values()) + self.tail


def events(answer: httpx.Response) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Event, id and data, as they come."""
    found: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            found[name] = value
        elif found.get("event"):
            yield found["event"], found["id"], json.loads(found["data"])
            found = {}


def read(site: Site, page: Page, *, after: str | None = None, at_most: int = 10**9) -> Page:
    """One connection, read to its end or for so many events."""
    query = {"after": after} if after is not None else {}
    with site.browser.stream("GET", site.url(page.run), params=query) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert "content-encoding" not in answer.headers
        for at, event in enumerate(events(answer), 1):
            page.hear(*event)
            if at == at_most:
                break
    return page


def written(studio: Studio, text: str, *, ending: Ending | None) -> int:
    """A regeneration that wrote this text, in portions of seven."""
    run = studio.correct(3, "captivating realm", "wide field")
    work = studio.start(run)
    splitter, end = Splitter(Rule(RuleKind.SLIDES), before=work.before), 0
    for start in range(0, len(text), 7):
        said = text[start : start + 7]
        last = ending if start + 7 >= len(text) else None
        cuts = []
        for piece in splitter.feed(said) + (splitter.close() if last else []):
            end += len(piece.text)
            cuts.append(Cut(end, piece.text, None))
        studio.append(Portion(run, work.attempt, start, said, tuple(cuts), last))
    return run


def test_a_page_hears_all_of_it_in_order(site: Site) -> None:
    run = written(site.studio, TEXT, ending=Ending("stop"))
    page = read(site, Page(run))
    assert (page.text, page.tail, page.done) == (TEXT, "", True)
    assert [*page.segments.values()] == site.studio.segments(run)
    assert page.states == ["done"]
    assert site.browser.get(site.url(run), params={"after": page.last}).status_code == 204


def test_a_new_segment_shows_at_once_what_the_model_was_unsure_of(site: Site) -> None:
    run = site.studio.correct(3, "captivating realm", "wide field")
    work = site.studio.start(run)
    certainty = Certainty(-0.5, (WeakWord(11, 14, -2.0),))
    site.studio.append(
        Portion(run, work.attempt, 0, TEXT[:17], (Cut(17, TEXT[:17], 3, certainty),))
    )
    with site.browser.stream("GET", site.url(run)) as answer:
        html = next(data["html"] for event, _, data in events(answer) if event == "seg")
    assert 'data-certainty="-0.500000"' in html
    assert '<span class="weak" title="The model was unsure here: 14 %">One</span>' in html


@pytest.mark.parametrize("ending", [Ending("stop"), None])
def test_a_page_may_come_back_from_every_place(site: Site, ending: Ending | None) -> None:
    run = written(site.studio, TEXT, ending=ending)
    if ending is None:
        site.studio.stop(run)
    ids = [*read(site, Page(run)).segments]
    for have in range(len(TEXT) + 1):
        splitter = Splitter(Rule(RuleKind.SLIDES), before="Before.\n")
        known = [piece.text for piece in splitter.feed(TEXT[:have])]
        cut = sum(map(len, known))
        for after in (f"{run}:{have}", f"{run}:{have}:{cut}"):
            page = Page(run, dict(zip(ids, known, strict=False)), TEXT[cut:have], have, cut)
            read(site, page, after=after)
            assert page.text == TEXT
            assert page.done
            assert page.twice == 0


def test_a_page_that_loses_its_connection_again_and_again_misses_nothing(site: Site) -> None:
    site.studio.set_speed(700)
    dice = random.Random(7)

    async def scenario() -> None:
        async with site.studio.worker():
            run = site.studio.correct(3, "captivating realm", "wide field")
            page, second = Page(run), Page(run)
            while not page.done:
                await asyncio.to_thread(
                    read, site, page, after=page.last or None, at_most=dice.randrange(1, 9)
                )
            await asyncio.to_thread(read, site, second)
            for each in (page, second):
                assert [*each.segments.values()] == lecture(8)[3:]
                assert each.twice == 0
            assert page.states[-1] == "done"

    asyncio.run(scenario())


def test_stop_ends_the_stream_and_makes_the_tail_a_segment(site: Site) -> None:
    site.studio.set_speed(60)

    async def scenario() -> None:
        async with site.studio.worker():
            run = site.studio.correct(3, "captivating realm", "wide field")
            page = Page(run)
            reading = asyncio.create_task(asyncio.to_thread(read, site, page))
            await until(lambda: page.have > 100)
            site.studio.stop(run)
            await asyncio.wait_for(reading, 10)
            assert page.states[-1] == "cancelled"
            assert (page.tail, [*page.segments.values()]) == ("", site.studio.segments(run))

    asyncio.run(scenario())


def test_a_failure_says_why(site: Site) -> None:
    run = written(site.studio, "Half", ending=Ending(error="The server is gone."))
    page = read(site, Page(run))
    assert (page.states, page.error, page.text) == (["failed"], "The server is gone.", "Half")


def test_last_event_id_is_as_good_as_after(site: Site) -> None:
    run = written(site.studio, TEXT, ending=Ending("stop"))
    headers = {"Last-Event-ID": f"{run}:{len(TEXT)}:done"}
    assert site.browser.get(site.url(run), headers=headers).status_code == 204


@pytest.mark.parametrize("after", ["x", "1", "1:x", "1:2:3:4", "-1:2", "1:99999999999999999999"])
def test_a_place_that_is_none_is_refused(site: Site, after: str) -> None:
    run = written(site.studio, "Half", ending=None)
    assert site.browser.get(site.url(run), params={"after": after}).status_code == 422


def test_a_place_beyond_the_end_or_in_another_run_is_harmless(site: Site) -> None:
    run = written(site.studio, TEXT, ending=Ending("stop"))
    page = Page(run)
    read(site, page, after=f"{run + 1}:3")
    assert page.text == TEXT
    beyond = Page(run)
    read(site, beyond, after=f"{run}:5000:5000")
    assert beyond.done


def test_only_who_may_see_the_draft_may_follow(site: Site) -> None:
    run = written(site.studio, "Half", ending=None)
    site.browser.cookies.clear()
    assert site.browser.get(site.url(run)).status_code in (303, 401)
    with site.studio.sessions.begin() as db:
        stranger = add_user(db)
    site.log_in(site.browser, stranger)
    assert site.browser.get(site.url(run)).status_code == 404


def test_a_segment_is_changed_only_by_who_may_change_the_draft(site: Site) -> None:
    run = written(site.studio, TEXT, ending=Ending("stop"))
    with site.studio.sessions.begin() as db:
        admin = add_user(db, role=Role.ADMIN)
    seen = {}
    for reader in ("annotator", "admin"):
        with site.browser.stream("GET", site.url(run)) as answer:
            seen[reader] = "".join(d["html"] for event, _, d in events(answer) if event == "seg")
        site.log_in(site.browser, admin)
    assert "/editor" in seen["annotator"]
    assert "/acceptance" in seen["annotator"]
    assert "/editor" not in seen["admin"]
    assert "/acceptance" not in seen["admin"]


def test_a_regeneration_of_another_draft_is_not_found(site: Site) -> None:
    run = written(site.studio, "Half", ending=None)
    site.studio.new_draft(["One.\n", "Two."])
    site.log_in(site.browser)
    assert site.browser.get(site.url(run)).status_code == 404


def test_an_open_stream_does_not_keep_the_app_from_ending(site: Site) -> None:
    run = written(site.studio, "Half", ending=None)
    page = Page(run)
    with site.browser.stream("GET", site.url(run)) as answer:
        heard = events(answer)
        page.hear(*next(heard))
        began = time.monotonic()
        site.server.handle_exit(signal.SIGTERM, None)
        for event in heard:
            page.hear(*event)
        assert time.monotonic() - began < 10
    assert not page.done, "the page comes back when there is an app again"


def test_the_state_of_a_waiting_text_is_told_and_told_again_when_it_changes(site: Site) -> None:
    run = site.studio.correct(3, "captivating realm", "wide field")
    page = Page(run)
    thread = threading.Thread(target=read, args=(site, page))
    thread.start()
    site.studio.until(lambda: page.states == ["queued"])
    site.studio.start(run)
    site.studio.until(lambda: page.states == ["queued", "running"])
    site.studio.stop(run)
    thread.join(10)
    assert page.states[-1] == RunState.CANCELLED


def test_a_text_that_waits_for_its_annotator_is_followed_on(site: Site) -> None:
    configure(site.studio, candidates=2, look_ahead=1)
    run = site.studio.correct(3, "captivating realm", "wide field")
    page = Page(run)
    thread = threading.Thread(target=read, args=(site, page))
    thread.start()
    work = site.studio.start(run)
    with site.studio.sessions.begin() as db:
        for index, text in enumerate(("A one.\n", "A two.\n")):
            cut = Cut(len(text), text, None)
            regenerations.offer(db, Candidate(run, work.attempt, index, cut, ends_output=False))
    site.studio.until(lambda: page.candidates == [2])
    with site.studio.sessions.begin() as db:
        regenerations.settle(db, regeneration_id=run, attempt=work.attempt)
    site.studio.until(lambda: page.states[-1:] == ["waiting"])
    choose(site.studio, run, offered(site.studio, run)[1].id)
    site.studio.until(lambda: page.text == "A two.\n")
    assert page.candidates == [2, 0]
    again = site.studio.start(run)
    end = Ending(waits=True)
    more = Portion(run, again.attempt, 7, "B.\nC", (Cut(10, "B.\n", None),), end)
    assert site.studio.append(more) == [Outcome.WRITTEN]
    site.studio.until(lambda: page.states[-1] == "waiting" and page.text == "A two.\nB.\nC")
    assert [*page.segments.values()] == ["A two.\n", "B.\n"]
    assert write_on(site.studio, run)
    site.studio.until(lambda: page.states[-1] == "queued")
    site.studio.stop(run)
    thread.join(10)
    assert page.done


def test_who_comes_later_finds_a_text_that_waits_as_it_stands(site: Site) -> None:
    configure(site.studio, look_ahead=1)
    run = site.studio.correct(3, "captivating realm", "wide field")
    work = site.studio.start(run)
    end = Ending(waits=True)
    site.studio.append(Portion(run, work.attempt, 0, "B.\nC", (Cut(3, "B.\n", None),), end))
    page = Page(run, have=4, cut=3, tail="C")
    with site.browser.stream("GET", site.url(run), params={"after": f"{run}:4:3"}) as answer:
        page.hear(*next(events(answer)))
    assert (page.states, page.text) == (["waiting"], "C")
