"""What the way costs while many texts are being written at once, and while many wait."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil

from bench.drafts import Drafts, Settings, directly, through_the_page, to_the_end
from bench.figures import Cost, percentile
from tests.support.studio import Studio

MODEL = "paced"
FIRST_MS, PER_S = 20, 30
ENDLESS: Settings = {"max_tokens": 100_000}
SHORT: Settings = {"max_tokens": 20}
_WINDOW_S = 10.0
_STREAM = re.compile(r'data-resume="([^"]*)" data-url="([^"]*)"')


def crowd(house: Studio, drafts: Drafts, page: httpx.Client, *, streams: int, pairs: int) -> None:
    """The first text of one more correction while so many streams are read in browsers."""
    server = f"paced, {streams} streams of {PER_S} tokens/s"
    with (
        paced("--first-ms", str(FIRST_MS), "--per-s", str(PER_S)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        house.start("worker", ITERDPO_ENGINE="openai", ITERDPO_ENGINE_URL=url)
        drafts.set(ENDLESS)
        addresses = [_begin(page, drafts, draft) for draft in drafts.take(streams)]
        with reading(house, drafts, addresses):
            drafts.set(SHORT)
            direct, whole = [], []
            for draft in drafts.take(pairs + 2):
                prompt = drafts.prompt(draft, corrected=True)
                direct.append(to_the_end(directly(client, prompt, SHORT, MODEL)).first_s * 1000)
                saved = to_the_end(through_the_page(page, *drafts.correction(draft)))
                whole.append(saved.first_s * 1000)
            direct, whole = direct[2:], whole[2:]
            beyond = [late - early for late, early in zip(whole, direct, strict=True)]
            for share, target in ((50, 50), (95, 150)):
                first, last, more = (percentile(all, share) for all in (direct, whole, beyond))
                print(
                    f"| save to first text, p{share} | {server} | {first:.0f} ms | {last:.0f} ms "
                    f"| {more:.0f} ms | < {target} ms |"
                )
            with Cost(house) as cost:
                time.sleep(_WINDOW_S)
            print(f"| CPU of the way in a second: {cost.per(_WINDOW_S)} | {server} | | | | |")
            for name in ("app", "worker"):
                print(f"| memory of the {name} | {server} | | {_memory(house, name)} MB | | |")
        house.kill("worker")


def waiting(house: Studio, drafts: Drafts, page: httpx.Client, *, streams: int) -> None:
    """Memory of a worker with so many requests that have not been answered by a word."""
    with paced("--silent") as url:
        house.start("worker", ITERDPO_ENGINE="openai", ITERDPO_ENGINE_URL=url)
        drafts.set(ENDLESS)
        for draft in drafts.take(streams):
            _begin(page, drafts, draft)
        time.sleep(5)
        print(
            f"| memory of a worker, {streams} streams waiting | paced, silent | "
            f"| {_memory(house, 'worker')} MB | | < 200 MB |"
        )
        house.kill("worker")


def _begin(page: httpx.Client, drafts: Drafts, draft: int) -> str:
    """Correct a draft; the address of the stream that follows."""
    address, form = drafts.correction(draft)
    answer = page.put(address, data=form, headers={"HX-Request": "true"}).raise_for_status()
    found = _STREAM.search(answer.text)
    if found is None:
        raise RuntimeError("The answer names no run.")
    return f"{found[2]}/stream?after={found[1]}"


@contextmanager
def paced(*words: str) -> Iterator[str]:
    """Address of a server that keeps time, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.paced", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        yield (process.stdout.readline() if process.stdout else "").strip()
    finally:
        process.kill()
        process.communicate()


@contextmanager
def reading(house: Studio, drafts: Drafts, addresses: list[str]) -> Iterator[None]:
    """Every stream is read, by another process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.readers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    asked = {"base": house.url, "cookie": house.log_in(drafts.user), "addresses": addresses}
    try:
        if process.stdin and process.stdout:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


def _memory(house: Studio, name: str) -> int:
    memory: int = psutil.Process(house.running[name].pid).memory_info().rss
    return round(memory / 1e6)
