"""How long an annotator waits: opening a page, saving, and the first word written after a save.

    python -m bench.workspace --samples 60 --segments 26

Real processes: embedded database, app, worker with the replay engine. Each save corrects a segment
of a draft nobody has touched and has what follows rewritten. Wall times are those of a client on
the same machine; "to first text" runs from sending the save to the first `tok` of the stream.
"""

import argparse
import gzip
import signal
import tempfile
import time
from pathlib import Path

import httpx
import psutil
from sqlalchemy import select

from app.annotation.edits.assignment import open_draft
from app.annotation.edits.path import Path as TreePath
from app.images.store import ImageStore
from app.models import Draft, Role, Sample, User
from app.projects import service as projects
from app.samples.importing import import_path
from bench.figures import Series, head, machine
from bench.material import write_lectures
from tests.support.studio import Studio, studio


def main() -> None:
    """Seed, measure, print a table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--samples", type=int, default=60)
    words.add_argument("--segments", type=int, default=26)
    words.add_argument("--opens", type=int, default=100)
    asked = words.parse_args()
    print(f"Workspace of {asked.segments} segments, {machine()}\n")
    with (
        tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch,
        studio(Path(scratch) / "data", ITERDPO_LOG_LEVEL="WARNING") as house,
    ):
        user, drafts = _seed(house, Path(scratch), asked.samples, asked.segments)
        house.start("app")
        house.start("worker")
        app = psutil.Process(house.running["app"].pid)
        with house.client(user) as client:
            _warm_up(house, client, drafts[:3])
            half = 3 + (len(drafts) - 3) // 2
            print(head())
            print(_opens(client, app, drafts[3], asked.opens).row())
            print(_first_texts(house, client, app, drafts[half:]).row())
            # Without a worker: else the texts that are being written count as CPU of the saves.
            house.kill("worker", signal.SIGTERM)
            print(_saves(house, client, app, drafts[3:half]).row())
            page = client.get(f"/drafts/{drafts[0]}").content
            packed = len(gzip.compress(page, 4))
        print(f"\nHTML of the page: {len(page) / 1e3:.0f} KB, compressed {packed / 1e3:.0f} KB")
        for name, process in house.running.items():
            memory = psutil.Process(process.pid).memory_info().rss
            print(f"Resident memory of the {name}: {memory / 1e6:.0f} MB")


def _seed(house: Studio, folder: Path, samples: int, segments: int) -> tuple[User, list[int]]:
    """An annotator with a draft of each of so many imported samples; ids of the drafts."""
    file = write_lectures(folder, samples=samples, segments=segments, images=segments)
    began = time.perf_counter()
    with house.sessions.begin() as db:
        user = User(name="bench", display_name="Bench", role=Role.ANNOTATOR)
        db.add(user)
        db.flush()
        project = projects.add(db, name="bench")
        projects.add_member(db, project=project, name=user.name)
        store = ImageStore(house.data / "images")
        import_path(db, project=project, path=file, store=store, actor_id=None)
    with house.sessions.begin() as db:
        ids = db.scalars(select(Sample.id).order_by(Sample.id)).all()
        drafts = [open_draft(db, sample_id=sample, user_id=user.id).id for sample in ids]
    print(f"{samples} samples imported and opened in {time.perf_counter() - began:.1f} s\n")
    return user, drafts


def _warm_up(house: Studio, client: httpx.Client, drafts: list[int]) -> None:
    for draft in drafts:
        for _ in range(5):
            client.get(f"/drafts/{draft}").raise_for_status()
        _save(house, client, draft)
        _wait_for_first_text(house, client, draft)


def _opens(client: httpx.Client, app: psutil.Process, draft: int, times: int) -> Series:
    series = Series("open the workspace", app)
    with series.all():
        for _ in range(times):
            with series.one():
                client.get(f"/drafts/{draft}").raise_for_status()
    return series


def _saves(house: Studio, client: httpx.Client, app: psutil.Process, drafts: list[int]) -> Series:
    series = Series("save a correction, with rewriting", app)
    requests = [correction_of(house, draft) for draft in drafts]
    with series.all():
        for url, form in requests:
            with series.one():
                put(client, url, form)
            time.sleep(0.05)
    return series


def _first_texts(
    house: Studio, client: httpx.Client, app: psutil.Process, drafts: list[int]
) -> Series:
    series = Series("save to first text", app)
    with series.all():
        for draft in drafts:
            url, form = correction_of(house, draft)
            with series.one():
                put(client, url, form)
                _wait_for_first_text(house, client, draft)
    return series


def _save(house: Studio, client: httpx.Client, draft: int) -> None:
    put(client, *correction_of(house, draft))


def correction_of(house: Studio, draft_id: int) -> tuple[str, dict[str, str]]:
    """Address and form of a correction of the draft's third segment."""
    with house.sessions() as db:
        draft = db.get_one(Draft, draft_id)
        segment = TreePath.load(db, draft.head_id or 0).steps[3]
        text = segment.text.replace("Slide 3", "Slide 3: corrected").rstrip("\n")
    return (
        f"/drafts/{draft_id}/segments/{segment.id}/correction",
        {"text": text, "mode": "continue", "base_version": str(draft.version)},
    )


def put(client: httpx.Client, url: str, form: dict[str, str]) -> None:
    """Save as the page does."""
    client.put(url, data=form, headers={"HX-Request": "true"}).raise_for_status()


def _wait_for_first_text(house: Studio, client: httpx.Client, draft_id: int) -> None:
    run = client.get(f"/drafts/{draft_id}/version").json()["regeneration_id"]
    with client.stream("GET", f"/drafts/{draft_id}/regenerations/{run}/stream") as stream:
        for line in stream.iter_lines():
            if line == "event: tok":
                return
    raise AssertionError("the stream ended without text")


if __name__ == "__main__":
    main()
