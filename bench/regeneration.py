"""What the way from a correction to the text in the page costs beyond the model server itself.

    python -m bench.regeneration --pairs 20

Real processes: embedded database, app, worker, a client that reads the page's stream of events.
Each figure stands beside that of a direct streaming call to the same server in the same run; the
two take turns. "vLLM" is the real server on a CPU with a tiny model (`make test-vllm` installs
it); "paced" does nothing but keep time, so that 64 streams cost only what the way costs.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from bench.crowd import crowd, waiting
from bench.drafts import (
    Drafts,
    Settings,
    Told,
    directly,
    seed,
    through_the_page,
    to_the_end,
)
from bench.figures import Cost, machine, percentile
from tests.support.studio import Studio, studio
from tests.vllm.records import Said, said_by_servers
from tests.vllm.serving import SLOTS, Running, serving

MODEL = "tiny"
# The id of an empty line in the tiny model's vocabulary: so that segments come.
SHORT: Settings = {"max_tokens": 48, "seed": 1, "logit_bias": {"288": 6.5}}
LONG = SHORT | {"max_tokens": 800}
ENDLESS = SHORT | {"max_tokens": 10_000}
SEGMENTS = 12


def main() -> None:
    """Seed, measure, print a table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--pairs", type=int, default=20)
    words.add_argument("--streams", type=int, default=64)
    asked = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch:
        records = Path(scratch) / "records"
        records.mkdir()
        with studio(
            Path(scratch) / "data",
            ITERDPO_LOG_LEVEL="WARNING",
            ITERDPO_WORKER_STREAMS=str(asked.streams + 16),
        ) as house:
            drafts = seed(
                house,
                Path(scratch),
                samples=4 * asked.pairs + 2 * asked.streams + 80,
                segments=SEGMENTS,
                images=SEGMENTS,
            )
            house.start("app")
            print(f"Regenerations, {machine()}\n")
            print("| what | server | direct | whole way | beyond it, or share | target |")
            print("| --- | --- | --- | --- | --- | --- |")
            with house.client(drafts.user) as page:
                with serving(records) as vllm:
                    house.start("worker", ITERDPO_ENGINE="openai", ITERDPO_ENGINE_URL=vllm.url)
                    bench = Bench(house, drafts, vllm, page)
                    bench.warm_up()
                    bench.first_texts(asked.pairs)
                    bench.tokens_per_s(at_once=1, times=5)
                    bench.tokens_per_s(at_once=SLOTS, times=2)
                    bench.reuse()
                    bench.cancels(10)
                    house.kill("worker")
                crowd(house, drafts, page, streams=asked.streams, pairs=asked.pairs)
                waiting(house, drafts, page, streams=asked.streams)


class Bench:
    """The measurements against the real server."""

    def __init__(self, house: Studio, drafts: Drafts, vllm: Running, page: httpx.Client) -> None:
        self.house = house
        self.drafts = drafts
        self.vllm = vllm
        self.page = page

    def warm_up(self) -> None:
        """Each process has done all of it; the server has the images."""
        self.drafts.set(SHORT)
        for draft in self.drafts.take(3):
            to_the_end(self.path(draft))
            to_the_end(self.direct(draft, SHORT))

    def first_texts(self, pairs: int) -> None:
        """Save to first text, and the direct call's time to its first token."""
        beyond, direct, whole = [], [], []
        for number in range(pairs):
            one, other = self.drafts.take(2)
            for draft in (one, other):
                self.read_before(draft)
            calls: list[Callable[[], Told]] = [
                lambda one=one: to_the_end(self.direct(one, SHORT)),  # type: ignore[misc]
                lambda other=other: to_the_end(self.path(other)),  # type: ignore[misc]
            ]
            told = [call() for call in (calls if number % 2 else calls[::-1])]
            asked, saved = told if number % 2 else told[::-1]
            direct.append(asked.first_s * 1000)
            whole.append(saved.first_s * 1000)
            beyond.append(whole[-1] - direct[-1])
        for share, target in ((50, 50), (95, 150)):
            print(
                f"| save to first text, p{share} | vLLM | {percentile(direct, share):.0f} ms "
                f"| {percentile(whole, share):.0f} ms | {percentile(beyond, share):.0f} ms "
                f"| < {target} ms |"
            )

    def tokens_per_s(self, *, at_once: int, times: int) -> None:
        """Whole continuations, one or several at a time."""
        self.drafts.set(LONG)
        rates: dict[str, list[float]] = {"direct": [], "path": []}
        cost = Cost(self.house)
        tokens = 0
        for _ in range(times):
            told = self._all([self.direct(one, LONG) for one in self.drafts.take(at_once)])
            rates["direct"].append(_rate(told))
            with cost:
                told = self._all([self.path(one) for one in self.drafts.take(at_once)])
            said = said_by_servers(self.vllm.records)
            for one in told:
                one.tokens = _said(said, one.run_id).usage["completion_tokens"]
            rates["path"].append(_rate(told))
            tokens += sum(one.tokens for one in told)
        direct, path = (percentile(rates[way], 50) for way in ("direct", "path"))
        print(
            f"| tokens/s, {at_once} at once | vLLM | {direct:.0f} | {path:.0f} "
            f"| {path / direct:.1%} | ≥ 95 % |\n"
            f"| CPU for 1,000 tokens, {at_once} at once: {cost.per(tokens / 1000)} | vLLM | | | | |"
        )
        self.drafts.set(SHORT)

    def _all(self, telling: list[Iterator[Told]]) -> list[Told]:
        with ThreadPoolExecutor(len(telling)) as pool:
            return list(pool.map(to_the_end, telling))

    def reuse(self) -> None:
        """The share of the tokens before a correction that the server had already."""
        kinds: tuple[tuple[str, Settings, int | None], ...] = (
            ("text that was imported", SHORT, None),
            ("text the model wrote, by token ids", SHORT | {"token_ids": True}, 10),
            ("text the model wrote, as text", SHORT, 10),
        )
        for what, settings, written in kinds:
            shares = []
            for draft in self.drafts.take(5):
                self.read_before(draft)
                number = 6
                if written is not None:
                    self.drafts.set(settings | {"max_tokens": 600})
                    to_the_end(self.path(draft))
                    number = written
                self.drafts.set(settings)
                address, form = self.drafts.correction(draft, number)
                told = to_the_end(through_the_page(self.page, address, form))
                usage = _said(said_by_servers(self.vllm.records), told.run_id).usage
                before = usage["prompt_tokens"] - self._tokens(form["text"])
                shares.append(usage["prompt_tokens_details"]["cached_tokens"] / before)
            print(
                f"| prompt tokens reused, {what}, {SEGMENTS} images | vLLM | | {before} tokens "
                f"| {min(shares):.1%} to {max(shares):.1%} | ≥ 95 % |"
            )
        self.drafts.set(SHORT)

    def cancels(self, times: int) -> None:
        """From sending Stop until the server works on nothing any more."""
        self.drafts.set(ENDLESS)
        took = []
        for draft in self.drafts.take(times):
            telling = self.path(draft)
            run = next(telling).run_id
            time.sleep(0.3)
            began = time.perf_counter()
            self.page.delete(f"/drafts/{draft}/regenerations/{run}").raise_for_status()
            while self.vllm.metric("vllm:num_requests_running"):
                time.sleep(0.002)
            took.append((time.perf_counter() - began) * 1000)
            to_the_end(telling)
        print(
            f"| Stop to a server at rest, p50 / p95 | vLLM | | {percentile(took, 50):.0f} / "
            f"{percentile(took, 95):.0f} ms | | < 300 ms |"
        )
        self.drafts.set(SHORT)

    def read_before(self, draft: int) -> None:
        """The server has read this text, as if it had written it."""
        prompt = self.drafts.prompt(draft, corrected=False)
        to_the_end(directly(self.vllm.client, prompt, {"max_tokens": 1}, MODEL))

    def direct(self, draft: int, settings: Settings) -> Iterator[Told]:
        """The correction of this draft, asked from the server itself."""
        prompt = self.drafts.prompt(draft, corrected=True)
        return directly(self.vllm.client, prompt, settings, MODEL)

    def path(self, draft: int) -> Iterator[Told]:
        """The same, saved in the page."""
        return through_the_page(self.page, *self.drafts.correction(draft))

    def _tokens(self, text: str) -> int:
        body = {"model": MODEL, "prompt": f"{text}\n\n", "add_special_tokens": False}
        count: int = self.vllm.client.post("/tokenize", json=body).json()["count"]
        return count


def _rate(told: list[Told]) -> float:
    """Tokens a second of all together, from the first text to the last."""
    began = min(one.began + one.first_s for one in told)
    return sum(one.tokens for one in told) / (max(one.began + one.last_s for one in told) - began)


def _said(said: dict[str, list[Said]], run_id: int) -> Said:
    return next(one for one in said[f"regeneration-{run_id}-1"] if one.usage)


if __name__ == "__main__":
    main()
