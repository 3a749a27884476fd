"""How fast samples are imported: 1,000 JSONL samples of 26 segments with 10 shared images.

python -m bench.import_speed --samples 1000
"""

import argparse
import tempfile
import time
from pathlib import Path

import psutil

from app.database.migrate import upgrade
from app.database.postgres import embedded
from app.database.sessions import make_engine, make_sessions
from app.images.store import ImageStore
from app.models import Project
from app.projects import service as projects
from app.samples.importing import import_path
from bench.figures import machine
from bench.material import write_lectures


def main() -> None:
    """Import once into an empty project, once more over it, and print both."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--samples", type=int, default=1000)
    words.add_argument("--segments", type=int, default=26)
    words.add_argument("--images", type=int, default=10)
    asked = words.parse_args()
    print(f"Import, {machine()}")
    with tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch:
        folder = Path(scratch)
        file = write_lectures(
            folder, samples=asked.samples, segments=asked.segments, images=asked.images
        )
        with embedded(folder / "data") as url:
            upgrade(url)
            engine = make_engine(url)
            sessions = make_sessions(engine)
            store = ImageStore(folder / "data" / "images")
            with sessions.begin() as db:
                project_id = projects.add(db, name="bench").id
            for what in ("first", "again"):
                began, cpu = time.perf_counter(), _cpu()
                with sessions.begin() as db:
                    project = db.get_one(Project, project_id)
                    report = import_path(db, project=project, path=file, store=store, actor_id=None)
                seconds = time.perf_counter() - began
                print(
                    f"{what}: {seconds:.1f} s, {_cpu() - cpu:.1f} s of CPU, "
                    f"{report.added} added, {report.unchanged} unchanged, "
                    f"{report.segments} segments, {report.images} images, "
                    f"{file.stat().st_size / 1e6:.0f} MB"
                )
            print(f"memory: {psutil.Process().memory_info().rss / 1e6:.0f} MB")
            engine.dispose()


def _cpu() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
