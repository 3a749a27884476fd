"""How fast pairs leave: as files, and over the API, beside a floor of a cursor and orjson.

    python -m bench.export --pairs 100000

An export's CPU time is that of its own process; PostgreSQL's is printed apart. The floor reads the
same pairs without their prefixes from a server-side cursor and writes what orjson makes of them:
nothing that reads pairs from PostgreSQL into Python can be faster.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil
from PIL import Image
from sqlalchemy import text

from app.db import Sessions, make_engine, make_sessions
from app.domain.filters import PairFilter
from app.domain.quality import Gate
from app.images.store import ImageStore
from app.migrate import upgrade
from app.pairs.export import Order, exporting
from app.pairs.formats import FORMATS, Rendering
from app.pairs.selection import select_pairs
from app.pairs.sinks import DirectorySink
from app.postgres import embedded
from bench.figures import machine
from bench.pairs import seed_pairs

_FLOOR = """
    SELECT c.id, project.name, s.source_id, chosen.text, rejected.text, c.kind, c.on_policy,
           u.name, p.name, c.created_at
    FROM corrections c JOIN samples s ON s.id = c.sample_id
    JOIN projects project ON project.id = s.project_id
    JOIN segments chosen ON chosen.id = c.chosen_id
    JOIN segments rejected ON rejected.id = c.rejected_id
    JOIN users u ON u.id = c.annotator_id
    LEFT JOIN policies p ON p.id = rejected.policy_id
    ORDER BY c.sample_id, c.id
"""


def main() -> None:
    """Seed, measure, print a table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--pairs", type=int, default=100_000)
    words.add_argument("--segments", type=int, default=26)
    asked = words.parse_args()
    print(f"Export of {asked.pairs} pairs, {asked.segments} segments a sample, {machine()}\n")
    with tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch:
        folder = Path(scratch)
        store = ImageStore(folder / "data" / "images")
        with embedded(folder / "data") as url:
            upgrade(url)
            engine = make_engine(url)
            sessions = make_sessions(engine)
            _seed(sessions, store, asked.pairs, asked.segments)
            print(
                "| what | pairs/s of CPU | CPU s | of PostgreSQL, s | wall s | first byte s"
                " | MB | memory MB |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
            )
            _floor(sessions, folder)
            for name in FORMATS:
                _export(sessions, store, folder, name)
            engine.dispose()


def _seed(sessions: Sessions, store: ImageStore, pairs: int, segments: int) -> None:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch, sessions.begin() as db:
        images = []
        for number in range(10):
            file = Path(scratch) / f"{number}.png"
            Image.new("RGB", (1280, 720), (number * 20, 80, 120)).save(file)
            images.append(store.add(file.read_bytes()).facts)
        seed_pairs(db, samples=-(-pairs // segments), segments=segments, images=images)
    print(f"seeded in {time.perf_counter() - began:.0f} s\n")


@dataclass
class Measured:
    """What a run took; memory: the most it grew while it ran."""

    cpu_s: float = 0.0
    server_s: float = 0.0
    wall_s: float = 0.0
    first_s: float = 0.0
    memory: int = 0

    def row(self, name: str, pairs: int, size: int) -> str:
        """A line of the table."""
        return (
            f"| {name} | {pairs / self.cpu_s:,.0f} | {self.cpu_s:.2f} | {self.server_s:.2f} "
            f"| {self.wall_s:.2f} | {self.first_s:.2f} | {size / 1e6:,.0f} "
            f"| {self.memory / 1e6:.0f} |"
        )


@contextmanager
def measured() -> Iterator[Measured]:
    """CPU and wall time of the block, and how much memory it took at most beyond the start."""
    me, figures, over = psutil.Process(), Measured(), threading.Event()
    before = me.memory_info().rss

    def watch() -> None:
        while not over.wait(0.05):
            figures.memory = max(figures.memory, me.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu, server, began = _cpu(me), _server_cpu(), time.perf_counter()
    try:
        yield figures
    finally:
        figures.wall_s = time.perf_counter() - began
        figures.cpu_s, figures.server_s = _cpu(me) - cpu, _server_cpu() - server
        over.set()
        watcher.join()


def _floor(sessions: Sessions, folder: Path) -> None:
    out, pairs = folder / "floor.jsonl", 0
    with measured() as figures, sessions() as db, out.open("wb") as file:
        began = time.perf_counter()
        rows = db.connection().execution_options(yield_per=1000).execute(text(_FLOOR))
        for row in rows:
            file.write(orjson.dumps(row._asdict(), option=orjson.OPT_APPEND_NEWLINE))
            pairs += 1
            figures.first_s = figures.first_s or time.perf_counter() - began
    print(figures.row("cursor + orjson, no prefixes", pairs, out.stat().st_size))
    out.unlink()


def _export(sessions: Sessions, store: ImageStore, folder: Path, name: str) -> None:
    wanted = PairFilter(project=("bench",))
    out = folder / name
    out.mkdir()
    with measured() as figures:
        began = time.perf_counter()
        with sessions() as db:
            project = db.execute(text("SELECT id FROM projects WHERE name = 'bench'")).scalar_one()
            selection = select_pairs(db, wanted, [project])
        order = Order(wanted, FORMATS[name], Rendering(folder=name), Gate())
        steps = exporting(sessions, selection, order, sink=DirectorySink(out), store=store)
        for _ in steps:
            figures.first_s = figures.first_s or time.perf_counter() - began
    size = (out / FORMATS[name].file).stat().st_size
    print(figures.row(name, len(selection), size))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _server_cpu() -> float:
    """CPU of all PostgreSQL processes below this one's keeper."""
    total = 0.0
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "postgres":
            try:
                total += _cpu(process)
            except psutil.NoSuchProcess:
                continue
    return total


if __name__ == "__main__":
    main()
