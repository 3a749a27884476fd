"""The app's Prometheus metrics. Labels come from closed sets: routes, methods, states."""

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
REGISTRY = CollectorRegistry()

REQUESTS = Histogram(
    "iterdpo_request_seconds",
    "Time from a request to the end of its answer, by route; of a stream: to its beginning.",
    ["method", "route", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    registry=REGISTRY,
)
STREAMS = Gauge(
    "iterdpo_event_streams_open",
    "Event streams that browsers hold open on this app process.",
    registry=REGISTRY,
)
REGENERATIONS = Gauge(
    "iterdpo_regenerations",
    "Regenerations that have not ended, by state.",
    ["state"],
    registry=REGISTRY,
)
OLDEST = Gauge(
    "iterdpo_queue_oldest_seconds",
    "Since when the oldest regeneration that no worker has taken waits; 0 when none does.",
    registry=REGISTRY,
)


def exposition() -> bytes:
    """All figures as text, of the type CONTENT_TYPE."""
    return generate_latest(REGISTRY)
