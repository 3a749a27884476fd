"""Waiting before the next attempt at a request, as long as it may help."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from iterdpo.refusals import StudioRefusal

# What may pass by itself; 500 too, since behind a proxy it often stands for a restart.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
FIRST_S = 0.5
LONGEST_S = 30.0
# A server may ask for more patience than we would have, but not for a day.
LONGEST_ASKED_S = 600.0


class Passing(Exception):  # noqa: N818 - no error yet: it may pass
    """An answer or a break that is worth another attempt. wait_s: what the server asked for."""

    def __init__(self, message: str, *, status: int | None = None, wait_s: float | None = None):
        super().__init__(message)
        self.status = status
        self.wait_s = wait_s


class Patience:
    """Counts failures in a row and waits after each, longer and longer, with jitter.

    progress() starts the count anew. attempts: after so many failures in a row it is over.
    """

    def __init__(self, attempts: int, sleep: Callable[[float], None] = time.sleep) -> None:
        self._attempts = attempts
        self._sleep = sleep
        self._failures = 0

    def progress(self) -> None:
        """Something arrived: the next failure is a first one."""
        self._failures = 0

    def wait(self, failure: Exception) -> None:
        """Wait before the next attempt. Raises StudioRefusal when it was the last one."""
        self._failures += 1
        status = failure.status if isinstance(failure, Passing) else None
        if self._failures >= self._attempts:
            raise StudioRefusal(
                f"{failure} ({self._failures} attempts in a row failed.)", status
            ) from failure
        asked = failure.wait_s if isinstance(failure, Passing) else None
        if asked is None:
            # "Full jitter": clients that were cut off together do not come back together.
            longest = min(LONGEST_S, FIRST_S * 2 ** (self._failures - 1))
            asked = longest * random.uniform(0.5, 1)  # noqa: S311 - no cryptography
        self._sleep(asked)


def asked_wait_s(response: httpx.Response, now: datetime | None = None) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3: a number or a date); None without a good one."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return min(float(text), LONGEST_ASKED_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    wait_s = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(wait_s, 0.0), LONGEST_ASKED_S)
