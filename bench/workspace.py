"""How long an annotator waits: opening a page, saving in both modes, a whole edit, the first word.

    python -m bench.workspace --segments 26 200 1000 --base ../before

Real processes: embedded database, app, worker with the replay engine. Wall times are those of a
client on the same machine; "to first text" runs from sending the save to the first `tok` of the
stream. All other saves run without a worker, whose writing would count as theirs.

--base: a checkout of an older version. Its app answers beside this one from the same database, and
each act is measured of both in turn, so a busy machine slows both down alike.
"""

import argparse
import gzip
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from sqlalchemy import select

from app.annotation.edits.assignment import open_draft
from app.annotation.edits.revision import draft_state
from app.images.store import ImageStore
from app.models import Draft, Project, Role, Sample, User
from app.projects import service as projects
from app.samples.importing import import_path
from app.security import SESSION_COOKIE
from bench.figures import Series, head, machine
from bench.material import write_lectures
from tests.support.studio import SAME_ORIGIN, START_S, Studio, studio

# More distinct images would measure the decoding of images.
IMAGES = 26
# The most images that a sample can have; a longer output is one without images.
MOST_IMAGES = 2_000


@dataclass(frozen=True)
class App:
    """A version of the app: its process, and a browser's requests to it."""

    name: str
    process: psutil.Process
    client: httpx.Client


def main() -> None:
    """Seed, measure, print a table for each length."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--segments", type=int, nargs="+", default=[26, 200, 1000])
    words.add_argument("--samples", type=int, default=4, help="drafts of each length and version")
    words.add_argument("--times", type=int, default=6, help="acts of each kind on each draft")
    words.add_argument("--first-texts", type=int, default=20)
    words.add_argument("--base", type=Path, help="a checkout of the version to compare with")
    asked = words.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch,
        studio(Path(scratch) / "data", ITERDPO_LOG_LEVEL="WARNING") as house,
        ExitStack() as stack,
    ):
        user = _annotator(house)
        house.start("app")
        ours = App(
            "this",
            psutil.Process(house.running["app"].pid),
            stack.enter_context(house.client(user)),
        )
        apps = [ours]
        if asked.base:
            apps.insert(0, stack.enter_context(_Base(house, user, asked.base.resolve())).app)
        for segments in asked.segments:
            print(f"\n{segments} segments, {machine()}\n\n{head()}")
            _compare(house, apps, user, segments, asked.samples, asked.times)
        if asked.first_texts:
            drafts = _seed(house, user, 26, asked.first_texts + 1)
            house.start("worker")
            _first_text(house, ours.client, drafts[0])
            print(f"\n26 segments, with a worker\n\n{head()}")
            print(_first_texts(house, ours, drafts[1:]).row())
            house.kill("worker", signal.SIGTERM)
        for app in apps:
            memory = app.process.memory_info().rss
            print(f"\nResident memory of the app ({app.name}): {memory / 1e6:.0f} MB")


def _compare(
    house: Studio, apps: list[App], user: User, segments: int, samples: int, times: int
) -> None:
    """Each act of each version in turn, every version on drafts of its own."""
    drafts = _seed(house, user, segments, samples * len(apps) * 4)
    acts: dict[str, Callable[[Studio, httpx.Client, int, int], None]] = {
        "open the workspace": _open,
        "save, the rest kept": _save_kept,
        "save, the rest to be rewritten": _save_rewritten,
        "edit (open, 2 autosaves, 2 diffs, save)": _edit,
    }
    for act, do in acts.items():
        series = {app.name: Series(f"{act}, {app.name}", app.process) for app in apps}
        of = {app.name: [drafts.pop() for _ in range(samples)] for app in apps}
        for app in apps:
            do(house, app.client, of[app.name][0], 2)
        for number in range(times):
            for at in range(samples):
                for app in apps:
                    with series[app.name].each():
                        do(house, app.client, of[app.name][at], 3 + number)
        for one in series.values():
            print(one.row())
    page = apps[-1].client.get(f"/drafts/{drafts[0] if drafts else of[apps[-1].name][0]}").content
    packed = len(gzip.compress(page, 4))
    print(f"\nHTML of the page: {len(page) / 1e3:.0f} KB, compressed {packed / 1e3:.0f} KB")


def _annotator(house: Studio) -> User:
    with house.sessions.begin() as db:
        user = User(name="bench", display_name="Bench", role=Role.ANNOTATOR)
        db.add(user)
    return user


def _seed(house: Studio, user: User, segments: int, samples: int) -> list[int]:
    """A draft of each of that many imported samples of that length; their ids."""
    name = f"bench-{segments}-{time.monotonic_ns()}"
    with tempfile.TemporaryDirectory() as folder, house.sessions.begin() as db:
        places = segments if segments <= MOST_IMAGES else 0
        file = write_lectures(
            Path(folder), samples=samples, segments=segments, images=IMAGES, places=places
        )
        project = projects.add(db, name=name)
        projects.add_member(db, project=project, name=user.name)
        store = ImageStore(house.data / "images")
        import_path(db, project=project, path=file, store=store, actor_id=None)
    with house.sessions.begin() as db:
        ids = db.scalars(
            select(Sample.id).join(Project).where(Project.name == name).order_by(Sample.id)
        ).all()
        return [open_draft(db, sample_id=sample, user_id=user.id).id for sample in ids]


class _Base:
    """The app of another checkout, beside the one of this."""

    def __init__(self, house: Studio, user: User, checkout: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        where = {"ITERDPO_PORT": str(port), "PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"], env=house.environment | where
        )
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            cookies={SESSION_COOKIE: house.log_in(user)},
            headers=SAME_ORIGIN,
            timeout=30,
        )

    def __enter__(self) -> "_Base":
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                if self.client.get("/readyz").is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            raise RuntimeError("The app to compare with does not answer.")
        self.app = App("base", psutil.Process(self.process.pid), self.client)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(60)


def _open(_house: Studio, client: httpx.Client, draft: int, _number: int) -> None:
    client.get(f"/drafts/{draft}").raise_for_status()


def _save_kept(house: Studio, client: httpx.Client, draft: int, number: int) -> None:
    put(client, *correction_of(house, draft, number, mode="keep"))


def _save_rewritten(house: Studio, client: httpx.Client, draft: int, _number: int) -> None:
    # From the end backwards: what follows leaves the path, and without a worker stays away.
    put(client, *correction_of(house, draft, -2))


def _edit(house: Studio, client: httpx.Client, draft: int, number: int) -> None:
    """What a browser asks for when somebody corrects a segment and keeps what follows."""
    url, form = correction_of(house, draft, number, mode="keep")
    here = url.removesuffix("/correction")
    client.get(f"{here}/editor").raise_for_status()
    for typed in (form["text"][:-1], form["text"]):
        kept = {"text": typed, "typed_at_ms": time.time_ns() // 1_000_000}
        client.put(f"{here}/unsaved", json=kept).raise_for_status()
        client.post(f"{here}/diff", data={"text": typed}).raise_for_status()
    put(client, url, form)


def _first_texts(house: Studio, app: App, drafts: list[int]) -> Series:
    series = Series("save to first text", app.process)
    for draft in drafts:
        with series.each():
            _first_text(house, app.client, draft)
    return series


def _first_text(house: Studio, client: httpx.Client, draft: int) -> None:
    put(client, *correction_of(house, draft))
    _wait_for_first_text(client, draft)


def correction_of(
    house: Studio, draft_id: int, number: int = 3, *, mode: str = "continue"
) -> tuple[str, dict[str, str]]:
    """Address and form of a correction of a segment (1-based; below 0 from the end)."""
    with house.sessions() as db:
        draft = db.get_one(Draft, draft_id)
        segment = draft_state(db, draft).path.steps[number]
        text = f"{segment.text.rstrip()} Corrected {time.monotonic_ns()}."
    return (
        f"/drafts/{draft_id}/segments/{segment.id}/correction",
        {"text": text, "mode": mode, "base_version": str(draft.version)},
    )


def put(client: httpx.Client, url: str, form: Mapping[str, str]) -> None:
    """Save as the page does."""
    client.put(url, data=form, headers={"HX-Request": "true"}).raise_for_status()


def _wait_for_first_text(client: httpx.Client, draft_id: int) -> None:
    run = client.get(f"/drafts/{draft_id}/version").json()["regeneration_id"]
    with client.stream("GET", f"/drafts/{draft_id}/regenerations/{run}/stream") as stream:
        for line in stream.iter_lines():
            if line == "event: tok":
                return
    raise AssertionError("the stream ended without text")


if __name__ == "__main__":
    main()
