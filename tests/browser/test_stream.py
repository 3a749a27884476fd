"""The page's reader of event streams, by itself: what it does when nothing goes well."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import OpenWindow
from tests.browser.desk import Desk, add_task
from tests.support.studio import Studio

EVENT = 'event: tok\nid: 1:0:0\ndata: {"start": 0, "text": "a"}\n\n'
# Pauses are noted, not waited for; a reader that never gives up is stopped after so many.
FOLLOW = """
async ([deeds, most]) => {
  const pauses = [];
  const told = [];
  const controller = new AbortController();
  const later = setTimeout;
  globalThis.setTimeout = (act, ms) => {
    if (pauses.push(ms) >= most) controller.abort();
    return later(act, 0);
  };
  const { follow } = await import(document.querySelector('link[href$="/js/stream.js"]').href);
  let heard = 0;
  const gaveUp = await follow({
    url: () => '/a-stream',
    on: () => {
      const deed = deeds[heard++] ?? deeds.at(-1);
      if (deed === 'throws') throw new Error('cannot show it');
      return deed !== 'ends';
    },
    fault: (error) => told.push(error.message),
    signal: controller.signal,
  }).then(() => false, () => true);
  globalThis.setTimeout = later;
  return [pauses, told, gaveUp];
}
"""
MOST = 20


@dataclass(frozen=True)
class Followed:
    """How it went. pauses: before each new connection, ms. told: the faults it told of."""

    pauses: list[float]
    told: list[str]
    gave_up: bool


@pytest.fixture
def follow(house: Studio, open_window: OpenWindow) -> Callable[..., Followed]:
    """Follows a stream of one event a connection; the handler does these deeds, then the last."""
    task = add_task(house)
    page = Desk(open_window(task.user).page, task).open().page

    def streamed(route: Route) -> None:
        route.fulfill(status=200, content_type="text/event-stream", body=EVENT)

    page.route("**/a-stream", streamed)
    return lambda *deeds: Followed(*page.evaluate(FOLLOW, [[*deeds], MOST]))


def test_a_handler_that_throws_is_told_of_once_and_asked_less_and_less(
    follow: Callable[..., Followed],
) -> None:
    followed = follow("throws")
    assert followed.told == ["cannot show it"]
    assert followed.gave_up
    assert len(followed.pauses) < MOST
    # Each is twice the one before, give or take a quarter, up to a quarter of a minute.
    for count, pause in enumerate(followed.pauses, start=1):
        wanted = min(15_000, 250 * 2**count)
        assert 0.7 * wanted < pause < 1.3 * wanted


def test_after_a_connection_without_a_fault_the_count_begins_anew(
    follow: Callable[..., Followed],
) -> None:
    followed = follow("throws", "throws", "takes", "throws", "ends")
    assert not followed.gave_up
    assert followed.told == ["cannot show it"] * 2
    first, second, third, fourth = followed.pauses
    assert second > 1.2 * first
    assert third < 320
    assert fourth < 660
