"""How fast pairs leave: as files, and over the API, beside a floor of a cursor and orjson.

    python -m bench.export --pairs 100000

Each export runs in a process of its own; its CPU time is that process's, PostgreSQL's is printed
apart, memory is what it grew by at most. The floor reads the same pairs without their prefixes from
a server-side cursor and writes what orjson makes of them: nothing that reads pairs from PostgreSQL
into Python can be faster. Then one client pulls all of it over the API, and an annotator saves
while an export runs.
"""

import argparse
import gc
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import psutil
from PIL import Image
from sqlalchemy import select, text

from app.accounts import service as accounts
from app.database.postgres import embedded
from app.database.sessions import Sessions, make_engine, make_sessions
from app.domain.filters import PairFilter
from app.domain.quality import Gate
from app.exports.export import Order, exporting
from app.exports.formats import PAIR_FORMATS, Rendering
from app.exports.selection import select_pairs
from app.exports.sinks import DirectorySink
from app.images.store import ImageStore
from app.models import Draft, Role, User
from bench.figures import Series, head, machine
from bench.pairs import seed_pairs
from bench.workspace import correction_of, put
from tests.support.studio import Studio, studio

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
    """Seed, measure, print tables."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--pairs", type=int, default=100_000)
    words.add_argument("--segments", type=int, default=26)
    words.add_argument("--saves", type=int, default=60)
    words.add_argument("--per-sample", type=int, help="export only so many pairs of each sample")
    # Of the processes that this one starts.
    words.add_argument("--one", help=argparse.SUPPRESS)
    words.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.one:
        _measure_one(asked.one, asked.data, asked.per_sample)
        return
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # it is a text file
    print(f"Export of {asked.pairs} pairs, {asked.segments} segments a sample, {machine()}\n")
    with (
        tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch,
        studio(Path(scratch) / "data", ITERDPO_LOG_LEVEL="WARNING") as house,
    ):
        _seed(house.sessions, ImageStore(house.data / "images"), asked.pairs, asked.segments)
        print(
            "| what | pairs/s of CPU | CPU s | of PostgreSQL, s | wall s | first bytes s | MB "
            "| memory MB |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
        )
        for name in ("floor", *PAIR_FORMATS):
            _child(name, house.data, per_sample=asked.per_sample).wait()
        house.start("app")
        _pull(house, asked.pairs)
        _save_meanwhile(house, asked.saves)


def _child(
    name: str, data: Path, *, per_sample: int | None = None, quiet: bool = False
) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "bench.export", "--one", name, "--data", str(data)]
    if per_sample is not None:
        words.append(f"--per-sample={per_sample}")
    return subprocess.Popen(words, stdout=subprocess.DEVNULL if quiet else None)


def _measure_one(name: str, data: Path, per_sample: int | None) -> None:
    with embedded(data) as url, tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch:
        engine = make_engine(url)
        sessions = make_sessions(engine)
        # As the command does before it exports.
        gc.collect()
        gc.freeze()
        if name == "floor":
            _floor(sessions, Path(scratch), data)
        else:
            wanted = PairFilter(project=("bench",), limit_per_sample=per_sample)
            _export(sessions, data, Path(scratch), name, wanted)
        engine.dispose()


def _pull(house: Studio, pairs: int) -> None:
    with house.sessions.begin() as db:
        trainer = User(name="trainer", display_name="Trainer", role=Role.ADMIN)
        db.add(trainer)
        db.flush()
        token = accounts.create_token(
            db, user_id=trainer.id, name="bench", scopes=["pairs:read"], days=1
        )
    app = psutil.Process(house.running["app"].pid)
    print(
        "\n| pulled over the API by one client | pairs/s | wall s | first bytes s "
        "| CPU of the app s | MB | memory of the app MB |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    )
    for what, coding in (
        ("the first time, which gives each pair its place", "identity"),
        ("as it is", "identity"),
        ("gzip", "gzip"),
        ("zstd", "zstd"),
    ):
        header = {"Authorization": f"Bearer {token}", "Accept-Encoding": coding}
        url: str | None = f"{house.url}/api/v1/pairs?project=bench&limit=100000"
        before, cpu, began = app.memory_info().rss, _cpu(app), time.perf_counter()
        size = first = 0.0
        while url:
            with httpx.stream("GET", url, headers=header, timeout=120) as answer:
                answer.raise_for_status()
                for chunk in answer.iter_raw():
                    first = first or time.perf_counter() - began
                    size += len(chunk)
                url = answer.links.get("next", {}).get("url")
        wall = time.perf_counter() - began
        grown = app.memory_info().rss - before
        print(
            f"| {what} | {pairs / wall:,.0f} | {wall:.1f} | {first:.2f} "
            f"| {_cpu(app) - cpu:.1f} | {size / 1e6:,.0f} | {grown / 1e6:+.0f} |"
        )


def _save_meanwhile(house: Studio, saves: int) -> None:
    app = psutil.Process(house.running["app"].pid)
    with house.sessions() as db:
        user = db.scalars(select(User).where(User.name == "ann0")).one()
        drafts = list(db.scalars(select(Draft.id).where(Draft.user_id == user.id).limit(2 * saves)))
    print(f"\n{head()}")
    with house.client(user) as client:
        for draft in drafts[:5]:
            put(client, *correction_of(house, draft))
        for name, part, export in (
            ("save, nothing else running", drafts[5 : 5 + saves], False),
            ("save while an export (trl) runs", drafts[5 + saves :], True),
        ):
            forms = [correction_of(house, draft) for draft in part]
            series = Series(name, app)
            other = _child("trl", house.data, quiet=True) if export else None
            with series.all():
                for url, form in forms:
                    if other is not None and other.poll() is not None:
                        other = _child("trl", house.data, quiet=True)
                    with series.one():
                        put(client, url, form)
                    time.sleep(0.05)
            if other is not None:
                other.wait()
            print(series.row())


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
def measured(data: Path) -> Iterator[Measured]:
    """CPU and wall time of the block, and how much memory it took at most beyond the start."""
    me, figures, over = psutil.Process(), Measured(), threading.Event()
    before = me.memory_info().rss

    def watch() -> None:
        while not over.wait(0.05):
            figures.memory = max(figures.memory, me.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu, server, began = _cpu(me), _server_cpu(data), time.perf_counter()
    try:
        yield figures
    finally:
        figures.wall_s = time.perf_counter() - began
        figures.cpu_s, figures.server_s = _cpu(me) - cpu, _server_cpu(data) - server
        over.set()
        watcher.join()


def _floor(sessions: Sessions, folder: Path, data: Path) -> None:
    out, pairs = folder / "floor.jsonl", 0
    with measured(data) as figures, sessions() as db, out.open("wb") as file:
        began = time.perf_counter()
        rows = db.connection().execution_options(yield_per=1000).execute(text(_FLOOR))
        for row in rows:
            file.write(orjson.dumps(row._asdict(), option=orjson.OPT_APPEND_NEWLINE))
            pairs += 1
            figures.first_s = figures.first_s or time.perf_counter() - began
    print(figures.row("cursor + orjson, no prefixes", pairs, out.stat().st_size))
    out.unlink()


def _export(sessions: Sessions, data: Path, folder: Path, name: str, wanted: PairFilter) -> None:
    store, out = ImageStore(data / "images"), folder / name
    out.mkdir()
    with measured(data) as figures:
        began = time.perf_counter()
        with sessions() as db:
            project = db.execute(text("SELECT id FROM projects WHERE name = 'bench'")).scalar_one()
            selection = select_pairs(db, wanted, [project])
        order = Order(wanted, PAIR_FORMATS[name], Rendering(folder=name), Gate())
        steps = exporting(sessions, selection, order, sink=DirectorySink(out), store=store)
        for _ in steps:
            figures.first_s = figures.first_s or time.perf_counter() - began
    size = (out / PAIR_FORMATS[name].file).stat().st_size
    print(figures.row(name, len(selection), size))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _server_cpu(data: Path) -> float:
    """CPU of the PostgreSQL in that data directory, of its processes that have ended too."""
    total = 0.0
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != "postgres":
            continue
        try:
            if Path(process.cwd()).is_relative_to(data):
                times = process.cpu_times()
                total += sum(times[:4])
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


if __name__ == "__main__":
    main()
