"""Login throttling: back off on repeated failures, with no permanent lockout."""

from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from math import ceil

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.models import LoginFailure

# Refused log-ins count for an hour. After the free ones each next failure doubles the wait.
WINDOW = timedelta(hours=1)
FREE_PER_NAME = 5
FREE_PER_ADDRESS = 50
FIRST_WAIT_S = 10
LONGEST_WAIT_S = 900
# Clocks of hosts differ a little. What is dated later was counted before a clock was set back, and
# would keep people out until the clock is there again.
SKEW = timedelta(minutes=1)


def source(host: str | None) -> str:
    """The key that counts as one address: an IPv6 user has a whole /64 to try from."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return host or "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"


def browser(device_id: int) -> str:
    """The key of a browser in which this account has logged in before.

    Its failures count there and nowhere else: other people behind its address do not affect it.
    """
    return f"device:{device_id}"


def seconds_to_wait(db: Session, *, name: str, address: str, at: datetime) -> int:
    """How long this name must wait at this address before its next try; 0: it may try now.

    Counts the failures of name and address together, and those of the address with any name. One
    try at a time: who tries in parallel waits a second, so that a burst cannot outrun the count.
    """
    if not db.scalar(
        select(func.pg_try_advisory_xact_lock(func.hashtextextended(f"{address} {name}", 0)))
    ):
        return 1
    of_name = LoginFailure.name == name
    tries, last, all_tries, last_of_all = db.execute(
        select(
            func.count().filter(of_name),
            func.max(LoginFailure.created_at).filter(of_name),
            func.count(),
            func.max(LoginFailure.created_at),
        ).where(
            LoginFailure.address == address,
            LoginFailure.created_at > at - WINDOW,
            LoginFailure.created_at < at + SKEW,
        )
    ).one()
    return max(
        _left(tries - FREE_PER_NAME, last, at), _left(all_tries - FREE_PER_ADDRESS, last_of_all, at)
    )


def count(db: Session, *, name: str, address: str, at: datetime) -> None:
    """Remember a refused log-in, and forget those that no longer count."""
    db.execute(
        delete(LoginFailure).where(
            (LoginFailure.created_at < at - WINDOW) | (LoginFailure.created_at > at + SKEW)
        )
    )
    db.add(LoginFailure(name=name, address=address, created_at=at))
    db.flush()


def forgive(db: Session, *, name: str, address: str) -> None:
    """Forget the failures of a name that has now proved itself at this address."""
    db.execute(
        delete(LoginFailure).where(LoginFailure.name == name, LoginFailure.address == address)
    )


def _left(over: int, last: datetime | None, at: datetime) -> int:
    if over < 0 or last is None:
        return 0
    wait = min(LONGEST_WAIT_S, FIRST_WAIT_S << min(over, 10))
    return max(0, ceil(wait - (at - last).total_seconds()))
