"""A task on an annotator's screen, and the few moves that every test makes with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image as Picture
from playwright.sync_api import Locator, Page, expect

from app.domain.certainty import Certainty
from app.domain.segments import RuleKind
from app.models import Draft, Project, SampleImage, User
from tests.support.factories import add_draft, add_policy, add_project, add_sample, add_user
from tests.support.studio import Studio

LECTURE = tuple(
    f"## Slide {number}\n{text}{'' if number == 6 else chr(10) * 2}"
    for number, text in enumerate(
        (
            "Welcome to the lecture about the harbour. It has five parts and one question.",
            "The chart shows twelve ships a day. Most of them carry grain, a few carry cars.",
            "The crane lifts forty tonnes. It was built in 1962 and painted twice since then.",
            "这一页讲的是潮汐。涨潮时水深九米，落潮时只有四米，所以大船要等。",
            "The table has three rows: pilots, tugs and berths. The tugs are the bottleneck.",
            "Thank you for listening. The question was: what would you build next?",
        ),
        start=1,
    )
)


@dataclass(frozen=True)
class Task:
    """A draft, its annotator, and the ids of its first segments."""

    draft: Draft
    user: User
    project: Project

    @property
    def path(self) -> str:
        """The address of its workspace."""
        return f"/drafts/{self.draft.id}"


def add_task(
    house: Studio,
    texts: Sequence[str] = LECTURE,
    *,
    images: int = 6,
    rule: RuleKind = RuleKind.SLIDES,
    user: User | None = None,
    certainties: Mapping[int, Certainty] | None = None,
) -> Task:
    """A fresh task with real images; segment N speaks of image N.

    certainties: of segments by number, where the model that wrote them has told.
    """
    shas = _pictures(house, images)
    with house.sessions.begin() as db:
        user = db.merge(user, load=False) if user else add_user(db)
        project = add_project(db, user)
        project.rule = rule
        project.guidelines = "Correct what the image contradicts."
        sample = add_sample(
            db,
            project=project,
            texts=texts,
            images=images,
            policy=add_policy(db),
            certainties=certainties,
        )
        sample.title = "The harbour"
        for position, sha256 in enumerate(shas):
            db.get_one(SampleImage, (sample.id, position)).sha256 = sha256
        draft = add_draft(db, sample=sample, user=user)
        sample.taken = 1
        db.flush()
        return Task(draft, user, project)


class Desk:
    """The workspace in a page. Every move waits for what only the new state can show."""

    def __init__(self, page: Page, task: Task) -> None:
        self.page = page
        self.task = task
        self.segments = page.locator("#segs > .seg[data-id]")
        self.active = page.locator("#segs > .seg.active")
        self.text = page.locator("#segs form.editor textarea.prose")
        self.run = page.locator("#run")
        self.count = page.locator("#progress .count")
        self.notice = page.locator("#notice")
        self.saved = page.locator("#saved-text")

    def open(self) -> "Desk":
        """Go to the workspace and wait for its scripts."""
        self.page.goto(self.task.path)
        expect(self.active).to_have_count(1)
        return self

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def number(self, number: int) -> Locator:
        """The segment with that number."""
        return self.page.locator(f'#segs > .seg[data-number="{number}"]')

    def go(self, number: int) -> None:
        """Make a segment the active one, with J and K."""
        now = int(self.active.get_attribute("data-number") or 0)
        for _ in range(abs(number - now)):
            self.press("j" if number > now else "k")
        expect(self.active).to_have_attribute("data-number", str(number))

    def edit(self, number: int) -> None:
        """Open the card of a segment with the keyboard; the caret is in its text."""
        self.go(number)
        self.press("e")
        expect(self.number(number).locator("textarea.prose")).to_be_focused()

    def type(self, text: str) -> None:
        """Type at the end of the open card and wait until the server has kept it."""
        self.press("Control+End")
        self.page.keyboard.type(text)
        expect(self.saved).to_contain_text("Draft saved")

    def wait_for_the_run(self) -> None:
        """Until the run that the page shows has written everything."""
        expect(self.run).to_have_attribute("data-run-state", "done", timeout=30_000)
        expect(self.page.locator("#writing")).to_have_count(0)


def _pictures(house: Studio, count: int) -> list[str]:
    shas = []
    for number in range(count):
        file = BytesIO()
        Picture.new("RGB", (1280, 720), (40 * number % 256, 90, 160)).save(file, "PNG")
        shas.append(house.keep_image(file.getvalue()))
    return shas
