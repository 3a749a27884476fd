"""The worker's Prometheus metrics, on a port of their own when one is set."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from app.settings import Settings
from worker.engine import Delta, Failure
from worker.openai import ModelDelta

REGISTRY = CollectorRegistry()

STREAMS = Gauge(
    "iterdpo_worker_streams", "Regenerations that this worker holds.", registry=REGISTRY
)
CLAIM = Histogram(
    "iterdpo_claim_seconds",
    "Time from a correction's request to the start of its first attempt.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120),
    registry=REGISTRY,
)
FIRST_TEXT = Histogram(
    "iterdpo_first_text_seconds",
    "Time from asking the engine to its first text: queue of the server, images, prompt.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 15, 60),
    registry=REGISTRY,
)
TOKENS = Counter(
    "iterdpo_tokens",
    "Tokens of the model server: of prompts, of these cached, and generated.",
    ["kind"],
    registry=REGISTRY,
)
SPEED = Histogram(
    "iterdpo_stream_tokens_per_second",
    "Generated tokens a second of one stream, from its first text to its end.",
    buckets=(2, 5, 10, 20, 30, 50, 75, 100, 150, 250),
    registry=REGISTRY,
)
WRITTEN = Counter(
    "iterdpo_written", "Regenerations written to the engine's own end.", registry=REGISTRY
)
FAILURES = Counter(
    "iterdpo_failures", "Attempts that failed, by reason.", ["reason"], registry=REGISTRY
)
OUTAGES = Counter(
    "iterdpo_engine_outages",
    "How often the engine was lost or not usable, each until it was well again.",
    registry=REGISTRY,
)
USABLE = Gauge(
    "iterdpo_engine_usable", "1 while the engine can be written with.", registry=REGISTRY
)

# A rate needs a first value: what has never happened is 0, not absent.
_PROMPT, _CACHED, _GENERATED = map(TOKENS.labels, ("prompt", "cached", "generated"))
for _reason in Failure:
    FAILURES.labels(_reason.value)


class Meter:
    """Measures one attempt, from asking the engine on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._first = 0.0
        self._seen = 0

    def take(self, delta: Delta) -> None:
        """The engine has said this."""
        if delta.text and not self._first:
            self._first = time.perf_counter()
            FIRST_TEXT.observe(self._first - self._began)
        if isinstance(delta, ModelDelta):
            self._count(delta)
        if delta.stop_reason is not None:
            WRITTEN.inc()

    def _count(self, delta: ModelDelta) -> None:
        """Tokens as they come; the usage at the end knows of those that had no text of their own.

        A stream that is left early has no usage: what its prompt cost is then not counted.
        """
        self._seen += len(delta.tokens)
        _GENERATED.inc(len(delta.tokens))
        if delta.usage is None:
            return
        _GENERATED.inc(max(0, delta.usage.completion - self._seen))
        _PROMPT.inc(delta.usage.prompt)
        _CACHED.inc(delta.usage.cached or 0)
        lasted = time.perf_counter() - self._first
        if self._first and delta.usage.completion > 1 and lasted > 0:
            SPEED.observe((delta.usage.completion - 1) / lasted)


@contextmanager
def served(settings: Settings) -> Iterator[None]:
    """Serve them on ITERDPO_METRICS_HOST and _PORT meanwhile, if a port is set."""
    if settings.metrics_port is None:
        yield
        return
    server, thread = start_http_server(
        settings.metrics_port, settings.metrics_host, registry=REGISTRY
    )
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
