"""What 1,000 tokens cost each part of the way from a model server to the page, in CPU time.

    python -m bench.way --streams 64 --ticks 80 --per-tick 1

No clock paces it and only CPU is counted, so two versions can be compared on a machine that does
other work meanwhile. Each tick every stream gets some tokens; they are written in one batch as a
worker does, then read for as many pages as the app's streams do.
"""

import argparse
import asyncio
import tempfile
import time
from collections import defaultdict
from contextlib import aclosing
from pathlib import Path

import psutil

from app import logs, regenerations
from app.annotation.edits.path import Path as TreePath
from app.annotation.routes.stream_reader import Pages, Reader
from app.database.sessions import make_reading_sessions
from app.domain.certainty import Token
from app.domain.prompts import ChatPrompt
from app.domain.segments import Cutting, Rule, RuleKind
from app.models import Draft
from app.regenerations import Position, Work
from app.resources import LOCALES, STATIC, TEMPLATES
from app.web.assets import Assets
from app.web.pages import Templates
from bench.crowd import paced
from bench.drafts import Drafts, seed
from bench.figures import machine
from tests.support.studio import Studio, studio
from worker.metrics import Meter
from worker.openai import ImageFile, OpenAIEngine
from worker.streams import Stream

SEGMENT = 40
_WARM_UP = 20
_LEASE_S = 600.0
_PER_S = 30


def main() -> None:
    """Seed, measure, print."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--streams", type=int, default=64)
    words.add_argument("--ticks", type=int, default=80)
    words.add_argument("--per-tick", type=int, default=1)
    asked = words.parse_args()
    logs.configure(json=False, level="WARNING")
    print(f"CPU for 1,000 tokens, {asked.streams} streams, {machine()}\n")
    with paced("--per-s", str(_PER_S)) as url:
        print(f"read from a model server: {asyncio.run(_from_server(url, asked.streams)):.3f} s")
    with tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch:
        folder = Path(scratch)
        with studio(folder / "data") as house:
            drafts = seed(house, folder, samples=asked.streams, segments=12, images=12)
            costs = asyncio.run(_through(house, drafts, folder, asked.ticks, asked.per_tick))
    for part, seconds in costs.items():
        print(f"{part}: {seconds / (asked.streams * asked.ticks * asked.per_tick) * 1000:.3f} s")


async def _from_server(url: str, streams: int, tokens: int = 100) -> float:
    """Read so many streams as a worker does; CPU of 1,000 tokens in seconds."""
    engine = OpenAIEngine(url, images=_no_image)
    await engine.check()

    async def one(number: int) -> None:
        prompt = ChatPrompt("", (), "Write.", "It")
        cutting = Cutting(Rule(RuleKind.PARAGRAPHS))
        work = Work(
            number,
            1,
            1,
            1,
            1,
            prompt,
            cutting,
            "It",
            kept="",
            cut=0,
            settings={"max_tokens": tokens},
        )
        stream, meter = Stream(work), Meter()
        async with aclosing(engine.stream(work)) as deltas:
            async for delta in deltas:
                meter.take(delta)
                stream.feed(delta.text, delta.tokens)
                stream.wrote(stream.portion())

    began = time.process_time()
    await asyncio.gather(*map(one, range(streams)))
    spent = time.process_time() - began
    await engine.aclose()
    return spent / (streams * tokens) * 1000


async def _through(
    house: Studio, drafts: Drafts, folder: Path, ticks: int, per_tick: int
) -> dict[str, float]:
    """CPU seconds of writing and reading so many ticks, of this process and of the database."""
    streams = {draft: _begin(house, draft) for draft in drafts.ids}
    assets = Assets(STATIC, reload=False)
    templates = Templates(TEMPLATES, LOCALES, assets, folder / "cache")
    reader = Reader(make_reading_sessions(house.sessions.kw["bind"]))
    pages = {draft: Pages(reader, templates, draft, "en") for draft in streams}
    places = {draft: Position(stream.id, 0, 0) for draft, stream in streams.items()}
    ends = dict.fromkeys(streams, 0)
    costs: defaultdict[str, float] = defaultdict(float)
    database: list[psutil.Process] = []
    for tick in range(-_WARM_UP, ticks):
        for number, (draft, stream) in enumerate(streams.items()):
            for at in range(per_tick):
                last = (tick * per_tick + at + number) % SEGMENT == 0
                word = "\n\n" if last else f" word{at + abs(tick)}"
                end = ends[draft] + len(word)
                stream.feed(word, [Token(ends[draft], end, -0.5)])
                ends[draft] = end
        if tick == 0:
            costs.clear()
            database = _servers(house)
        theirs, own = _cpu(database), time.process_time()
        _write(house, list(streams.values()))
        costs["write: worker"] += time.process_time() - own
        costs["write: database"] += _cpu(database) - theirs
        theirs, own = _cpu(database), time.process_time()
        told = await asyncio.gather(*(pages[draft].since(place) for draft, place in places.items()))
        for (draft, place), (news, segments) in zip(list(places.items()), told, strict=True):
            cut = segments[-1]["end"] if segments else place.cut
            places[draft] = Position(place.regeneration_id, news.written, cut)
        costs["read: app"] += time.process_time() - own
        costs["read: database"] += _cpu(database) - theirs
    return costs


def _no_image(sha256: str) -> ImageFile:
    raise FileNotFoundError(sha256)


def _begin(house: Studio, draft_id: int) -> Stream:
    """A run that continues the draft after its sixth segment, taken by a worker."""
    with house.sessions.begin() as db:
        draft = db.get_one(Draft, draft_id)
        anchor = TreePath.load(db, draft.head_id).steps[6]
        run = regenerations.request(
            db,
            draft=draft,
            anchor_id=anchor.id,
            displaced_id=draft.head_id,
            displaced_depth=anchor.depth,
        )
        policy = regenerations.register_policy(db, name="bench", engine="openai")
        work = regenerations.start(
            db, regeneration_id=run.id, worker="bench", policy_id=policy, lease_s=_LEASE_S
        )
    if work is None:
        raise RuntimeError("The run is not to be had.")
    return Stream(work)


def _write(house: Studio, streams: list[Stream]) -> None:
    portions = [stream.portion() for stream in streams]
    with house.sessions.begin() as db:
        regenerations.append(db, portions, lease_s=_LEASE_S)
    for stream, portion in zip(streams, portions, strict=True):
        stream.wrote(portion)


def _servers(house: Studio) -> list[psutil.Process]:
    postmaster = (house.data / "postgres" / "postmaster.pid").read_text().split()[0]
    return psutil.Process(int(postmaster)).children()


def _cpu(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return float(sum(one.user + one.system for one in times))


if __name__ == "__main__":
    main()
