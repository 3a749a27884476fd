"""Many annotators at work at once: how long each step takes, and whether anything is lost.

    python -m bench.annotators --annotators 200 --seconds 120

Real processes: embedded database, app, worker with the replay engine at 30 words/s, two segments
ahead. Each annotator has a draft of 26 segments and corrects them one after the other, one every
20 s: opens the editor, keeps what is typed and compares it, twice, saves it with rewriting and
follows what is written then. They live in a process of their own (bench.people). At the end every
save that was answered must stand in the database as it was sent.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app.annotation.edits.assignment import open_draft
from app.annotation.edits.path import Path as TreePath
from app.images.store import ImageStore
from app.models import Correction, Project, Role, Sample, Segment, User
from app.projects import service as projects
from app.samples.importing import import_path
from bench.figures import Cost, machine, percentile
from bench.material import write_lectures
from tests.support.studio import Studio, studio

SEGMENTS = 26
PAUSE_S = 20.0
AHEAD = 2


def main() -> None:
    """Seed, let them work, print what it cost."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--annotators", type=int, default=200)
    words.add_argument("--seconds", type=float, default=120)
    asked = words.parse_args()
    print(f"{asked.annotators} annotators, a save each {PAUSE_S:.0f} s, {machine()}\n")
    with (
        tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch,
        studio(
            Path(scratch) / "data",
            ITERDPO_LOG_LEVEL="WARNING",
            ITERDPO_REPLAY_WORDS_PER_S="30",
            ITERDPO_WORKER_STREAMS=str(asked.annotators),
        ) as house,
    ):
        people = _seed(house, Path(scratch), asked.annotators)
        house.start("app")
        house.start("worker")
        with Cost(house) as cost:
            told = _work(house, people, asked.seconds)
        print("| what | times | p50 ms | p95 ms | p99 ms |\n| --- | --- | --- | --- | --- |")
        for name, times in told["times_ms"].items():
            cuts = [f"{percentile(times, share):.0f}" for share in (50, 95, 99)]
            print(f"| {name} | {len(times)} | {' | '.join(cuts)} |")
        print(f"\nCPU in a second: {cost.per(told['seconds'])}; refused: {told['refused']}")
        lost = _lost(house, told["saved"])
        print(f"{len(told['saved'])} saves answered, {len(lost)} of them not in the database")
        if lost:
            sys.exit(f"lost: {lost}")


def _seed(house: Studio, folder: Path, count: int) -> list[dict[str, Any]]:
    """So many annotators, each with a log-in and a draft of a sample of their own."""
    file = write_lectures(folder, samples=count, segments=SEGMENTS, images=SEGMENTS)
    with house.sessions.begin() as db:
        project: Project = projects.add(db, name="bench")
        project.generation = {"look_ahead": AHEAD}
        users = []
        for number in range(count):
            user = User(name=f"ann{number}", display_name=f"Ann {number}", role=Role.ANNOTATOR)
            db.add(user)
            db.flush()
            projects.add_member(db, project=project, name=user.name)
            users.append(user)
        store = ImageStore(house.data / "images")
        import_path(db, project=project, path=file, store=store, actor_id=None)
    people: list[dict[str, Any]] = []
    with house.sessions.begin() as db:
        samples = db.scalars(select(Sample.id).order_by(Sample.id)).all()
        for user, sample in zip(users, samples, strict=True):
            draft = open_draft(db, sample_id=sample, user_id=user.id)
            first = TreePath.load(db, draft.head_id).steps[1]
            people.append({"draft": draft.id, "segment": first.id})
    for person, user in zip(people, users, strict=True):
        person["cookie"] = house.log_in(user)
    return people


def _work(house: Studio, people: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    asked = {"base": house.url, "people": people, "seconds": seconds, "pause_s": PAUSE_S}
    done = subprocess.run(
        [sys.executable, "-m", "bench.people"],
        input=json.dumps(asked),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _lost(house: Studio, saved: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the saves that were answered, those whose text is not the chosen side of a correction."""
    with house.sessions() as db:
        rows = db.execute(
            select(Correction.draft_id, Correction.rejected_id, Segment.text).join(
                Segment, Segment.id == Correction.chosen_id
            )
        )
        stood = {(draft, rejected): text for draft, rejected, text in rows}
    return [
        save
        for save in saved
        if stood.get((save["draft"], save["segment"]), "").rstrip("\n") != save["text"]
    ]


if __name__ == "__main__":
    main()
