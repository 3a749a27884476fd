"""Real Chromium before a whole studio: app, worker and database run as processes of their own."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from app.models import User
from app.security import SESSION_COOKIE
from tests.browser import program
from tests.support.studio import Studio, studio

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# The page tells of its own violations, so that they fail the test like any console error.
TELL_OF_VIOLATIONS = """
addEventListener('securitypolicyviolation', (event) =>
  console.error('CSP refused', event.violatedDirective, event.blockedURI, event.sourceFile));
"""
OUTPUT = Path(__file__).parents[1] / "output"


@dataclass
class Window:
    """A page and what went wrong in it; expected: patterns of errors that the test provokes."""

    page: Page
    errors: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def expect(self, *patterns: str) -> None:
        """These errors are what the test is about."""
        self.expected += patterns

    def unexpected(self) -> list[str]:
        """The errors that nobody expected."""
        return [
            error
            for error in self.errors
            if not any(re.search(pattern, error) for pattern in self.expected)
        ]


OpenWindow = Callable[..., Window]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A running studio; the replay engine writes fast enough not to be waited for."""
    data = tmp_path_factory.mktemp("house") / "data"
    with studio(data, ITERDPO_DEMO="1", ITERDPO_REPLAY_WORDS_PER_S="120") as made:
        made.start("app")
        made.start("worker")
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One Chromium for a module.

    Not for the whole process: while it is open its event loop runs in this thread, and no other
    test could run one of its own.
    """
    executable = program.find()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def open_window(
    chromium: Browser, house: Studio, request: pytest.FixtureRequest
) -> Iterator[OpenWindow]:
    """Opens a window in which a user (None: nobody) is logged in.

    When the test is over, an error in any window's console fails it; so does a script's exception
    and whatever the content security policy refused.
    """
    opened: list[Window] = []

    def open_one(
        user: User | None = None,
        *,
        width: int = 1440,
        height: int = 900,
        scheme: str = "light",
        language: str = "en",
        with_script: bool = True,
    ) -> Window:
        context = chromium.new_context(
            base_url=house.url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            locale=language,
            java_script_enabled=with_script,
            reduced_motion="reduce",
        )
        context.set_default_timeout(15_000)
        if user is not None:
            cookie = house.log_in(user)
            context.add_cookies([{"name": SESSION_COOKIE, "value": cookie, "url": house.url}])
        return tab(Window(context.new_page()))

    def tab(window: Window) -> Window:
        if window.page.context.browser is not None:
            window.page.add_init_script(TELL_OF_VIOLATIONS)
        window.page.on(
            "console",
            lambda message: window.errors.append(message.text) if message.type == "error" else None,
        )
        window.page.on("pageerror", lambda error: window.errors.append(str(error)))
        opened.append(window)
        return window

    yield open_one
    OUTPUT.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "_", request.node.name)
    for number, window in enumerate(opened):
        if not window.page.is_closed():
            window.page.screenshot(path=OUTPUT / f"{name}_{number}.png")
        window.page.context.close()
    assert [window.unexpected() for window in opened] == [[] for _ in opened]
