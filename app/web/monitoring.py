"""GET /metrics: the app's metrics, for requests with the token that is set for it."""

import time
from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app import metrics
from app.regenerations.figures import queue_figures

# However often it is asked, the queue is counted once in this time.
_FRESH_S = 1.0
_CLOSED = "Send ITERDPO_METRICS_TOKEN of this app: Authorization: Bearer …\n"


def serve_metrics(request: Request) -> Response:
    """200 with the figures; 401 without the right token, and always while none is set.

    Being near is no right: behind a proxy every visitor comes from this machine.
    """
    token = request.app.state.settings.metrics_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token is None or not compare_digest(given.encode(), token.get_secret_value().encode()):
        return PlainTextResponse(_CLOSED, 401, {"WWW-Authenticate": "Bearer"})
    _count_the_queue(request)
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


def _count_the_queue(request: Request) -> None:
    state = request.app.state
    if time.monotonic() - getattr(state, "queue_counted_at", -_FRESH_S) < _FRESH_S:
        return
    # Not one of the requests' slots: these figures are wanted most when those are all taken.
    with state.engine.connect() as connection:
        figures = queue_figures(connection)
    state.queue_counted_at = time.monotonic()
    for run_state, count in figures.counts.items():
        metrics.REGENERATIONS.labels(run_state.value).set(count)
    metrics.OLDEST.set(figures.oldest_s)
