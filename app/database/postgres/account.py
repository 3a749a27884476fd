"""Which operating-system account runs the embedded server, and how it reaches its files.

PostgreSQL refuses to run as root. As an ordinary user we stay who we are. As root, the server runs
as the owner of an existing cluster, else as the account `iterdpo` if the machine has one, else as
`nobody`; no account is created behind the administrator's back.

That account may be unable to pass the directories above the data or the program (a clone under
/root, a private temporary directory). Opening them would change permissions that are not ours.
Instead the server keeps one Linux capability of root's, and only when it is needed:
CAP_DAC_READ_SEARCH (pass and read), or CAP_DAC_OVERRIDE where a container withholds the first or
the program itself is closed to others. CAP_SETPCAP lets it keep that one also while PostgreSQL's
programs ask access(2) about themselves (keeper.py). Where the kernel knows no capabilities (macOS),
the closed directories get the single bit o+x: passable, still not listable.
"""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAP_SETPCAP = 8


@dataclass(frozen=True, slots=True)
class Account:
    """Who the server runs as: `user` is (uid, gid), None for ourselves."""

    user: tuple[int, int] | None
    capabilities: tuple[int, ...] = ()

    def own(self, path: Path) -> None:
        """Make `path` the account's, closed to everybody else."""
        path.chmod(0o700)
        if self.user is not None:
            os.chown(path, *self.user)

    def owns(self, path: Path) -> bool:
        """True for a real directory (no link) that belongs to this account or to us."""
        about = path.lstat()
        owners = {os.geteuid(), *(self.user or ())[:1]}
        return stat.S_ISDIR(about.st_mode) and about.st_uid in owners


def account_for(cluster: Path, program: Path) -> Account:
    """The account for the cluster directory (which may not exist yet) and the server's binary.

    Raises PermissionError when an existing cluster belongs to another ordinary user.
    """
    owner = cluster.stat().st_uid if cluster.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner != os.geteuid():
            raise PermissionError(f"{cluster} belongs to another user (id {owner})")
        return Account(None)
    entry = pwd.getpwuid(owner) if owner else _unprivileged()
    user = (entry.pw_uid, entry.pw_gid)
    closed = [place for place in _above(cluster) + _above(program) if not _open(place, user)]
    program_closed = not _open(program, user)
    if not closed and not program_closed:
        return Account(user)
    capability = _permitted(program_closed)
    if capability is not None:
        return Account(user, (capability,))
    for place in [*closed, program] if program_closed else closed:
        place.chmod(place.stat().st_mode | stat.S_IXOTH)
    return Account(user)


def _unprivileged() -> pwd.struct_passwd:
    for name in ("iterdpo", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PermissionError(
        "PostgreSQL does not run as root and this machine has no account named iterdpo or nobody"
    )


def _above(path: Path) -> list[Path]:
    """Every existing directory on the way to `path`, links resolved."""
    return [place for place in path.resolve().parents if place.exists()]


def _open(path: Path, user: tuple[int, int]) -> bool:
    about = path.stat()
    if about.st_uid == user[0]:
        return bool(about.st_mode & stat.S_IXUSR)
    if about.st_gid == user[1]:
        return bool(about.st_mode & stat.S_IXGRP)
    return bool(about.st_mode & stat.S_IXOTH)


def _permitted(program_closed: bool) -> int | None:
    """The weaker of the two capabilities that serves and that this process has.

    None where the kernel knows none. PermissionError for a root that was left with neither, or may
    not hand one on: it could not run the server in directories that are closed to others.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return None
    line = next(line for line in status.splitlines() if line.startswith("CapPrm:"))
    held = int(line.split()[1], 16)
    wanted = (CAP_DAC_OVERRIDE,) if program_closed else (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE)
    serving = [number for number in wanted if held >> number & 1]
    if serving and held >> CAP_SETPCAP & 1:
        return serving[0]
    missing = "CAP_SETPCAP" if serving else "CAP_DAC_OVERRIDE"
    raise PermissionError(
        "PostgreSQL does not run as root, and this root may not let another account into "
        f"directories that are closed to others ({missing} is missing). Run IterDPO Studio as an "
        "ordinary user, or with its program and data in directories that everybody may pass."
    )
