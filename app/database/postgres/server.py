"""Join, start and leave the embedded server of a data directory."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import pq, sql

from app.database.postgres import cluster
from app.database.postgres.account import Account, account_for
from app.settings import Settings

SILENT_S = 60.0
RECOVERY_S = 1800.0
STOP_S = 120.0


class ServerError(RuntimeError):
    """The embedded server cannot be used; the message says why, with the end of its log."""


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The configured DATABASE_URL, else that of the embedded server, which runs meanwhile."""
    if settings.database_url is not None:
        yield str(settings.database_url)
    else:
        with embedded(settings.data) as url:
            yield url


@contextmanager
def embedded(data: Path) -> Iterator[str]:
    """A postgresql:// URL of the server in data/postgres, which runs for as long as it is used.

    Starts it when no process uses it yet (creating the cluster the first time, recovering after a
    crash), joins it otherwise; the last process to leave, or to die, stops it. Its role owns the
    database `iterdpo`, may create others and is no superuser. Raises ServerError.
    """
    server = _Server(data)
    try:
        server.join()
    except BaseException as error:
        server.leave()
        if isinstance(error, OSError | RuntimeError) and not isinstance(error, ServerError):
            raise ServerError(str(error)) from error
        raise
    try:
        yield server.url
    finally:
        server.leave()


def running_url(data: Path) -> str | None:
    """URL of the server in data/postgres if one answers now, else None. Holds nothing open."""
    sockets = _sockets(data.absolute() / "postgres")
    return _url(sockets) if sockets and _ping(sockets) == pq.Ping.OK else None


class _Server:
    def __init__(self, data: Path) -> None:
        self.data = data.expanduser().absolute()
        self.cluster = self.data / "postgres"
        self.url = ""
        self.joined = False
        self.keeper = 0
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
            locks = self.data / "run"
            locks.mkdir(mode=0o700, exist_ok=True)
            self.files = [
                os.open(locks / name, os.O_RDWR | os.O_CREAT, 0o600)
                for name in ("start.lock", "users.lock", "keeper.lock")
            ]
        except OSError as error:
            raise ServerError(f"the data directory cannot be used: {error}") from error
        self.start_lock, self.users_lock, self.keeper_lock = self.files

    def join(self) -> None:
        """Start or join; afterwards `url` answers and our shared lock keeps the server up."""
        fcntl.flock(self.start_lock, fcntl.LOCK_EX)
        try:
            # Waits here while a keeper whose users all died is still stopping the server.
            fcntl.flock(self.users_lock, fcntl.LOCK_SH)
            self.joined = True
            # A keeper that was killed a moment ago holds its lock until the kernel has ended it.
            sockets = self._wait_until_ready() if self._has_keeper() else None
            self.url = _url(sockets or self._start())
        finally:
            fcntl.flock(self.start_lock, fcntl.LOCK_UN)

    def leave(self) -> None:
        """Drop our lock; the last one out stops the server and waits until it is down."""
        try:
            if self.joined:
                fcntl.flock(self.start_lock, fcntl.LOCK_EX)
                if _lock_now(self.users_lock, fcntl.LOCK_EX):
                    self._stop()
                elif not _lock_now(self.users_lock, fcntl.LOCK_SH):
                    # The keeper was quicker and is stopping the server already.
                    fcntl.flock(self.users_lock, fcntl.LOCK_SH)
                self.joined = False
        finally:
            for file in self.files:
                os.close(file)
            if self.keeper:
                with suppress(ChildProcessError):
                    os.waitpid(self.keeper, os.WNOHANG)

    def _start(self) -> Path:
        """Start the server, creating or recovering the cluster; its socket directory."""
        account = account_for(self.cluster, cluster.tool("postgres"))
        self._clear_leftovers()
        if not self.cluster.exists():
            cluster.create(self.cluster, account)
        self._spawn(account)
        sockets = self._wait_until_ready()
        if sockets is None:
            raise ServerError(f"PostgreSQL did not start:\n{self._end_of_log()}")
        _prepare(sockets)
        return sockets

    def _has_keeper(self) -> bool:
        if not _lock_now(self.keeper_lock, fcntl.LOCK_EX):
            return True
        fcntl.flock(self.keeper_lock, fcntl.LOCK_UN)
        return False

    def _stop(self) -> None:
        if not self._has_keeper():
            return
        with suppress(ProcessLookupError):
            os.kill(int(os.pread(self.keeper_lock, 20, 0)), signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while self._has_keeper():
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL did not stop within {STOP_S:.0f} s")
            time.sleep(0.01)
        if self.keeper:
            os.waitpid(self.keeper, 0)
            self.keeper = 0
        with suppress(OSError):
            cluster.socket_place(self.data).rmdir()

    def _spawn(self, account: Account) -> None:
        """Start the keeper. posix_spawn, not fork: the caller may have threads.

        SIGINT stays blocked until the keeper has its own session, so no Ctrl+C falls between.
        """
        log = cluster.log_file(self.data)
        argv = cluster.keeper_command(
            "keep",
            cluster.server_command(self.cluster, cluster.socket_directory(self.data, account)),
            account,
            users_lock=str(self.data / "run" / "users.lock"),
            keeper_lock=str(self.data / "run" / "keeper.lock"),
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.keeper = os.posix_spawn(
            argv[0],
            argv,
            cluster.ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsigmask=[signal.SIGINT],
        )

    def _wait_until_ready(self) -> Path | None:
        """The socket directory, once the server takes connections; None when its keeper ends first.

        A server that says it is recovering gets half an hour, one that says nothing a minute.
        """
        began = time.monotonic()
        while True:
            sockets = _sockets(self.cluster)
            answer = _ping(sockets) if sockets else pq.Ping.NO_RESPONSE
            if sockets and answer == pq.Ping.OK:
                return sockets
            if not self._keeper_lives():
                return None
            waited = time.monotonic() - began
            if waited > (RECOVERY_S if answer == pq.Ping.REJECT else SILENT_S):
                raise ServerError(f"PostgreSQL does not answer:\n{self._end_of_log()}")
            time.sleep(0.02)

    def _keeper_lives(self) -> bool:
        """Our own keeper may not hold its lock yet; of another's, the lock is all we can see."""
        if not self.keeper:
            return self._has_keeper()
        if os.waitpid(self.keeper, os.WNOHANG)[0]:
            self.keeper = 0
        return bool(self.keeper)

    def _clear_leftovers(self) -> None:
        """No keeper lives, so no server should: stop an orphan, forget a stale postmaster.pid.

        PostgreSQL itself refuses to start while a process has the number in postmaster.pid, also
        when that number has gone to another program since (a reboot, a container).
        """
        deadline = time.monotonic() + SILENT_S
        while orphans := _servers_in(self.cluster):
            for process in orphans:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGINT)
            if time.monotonic() > deadline:
                raise ServerError(f"process {orphans[0].pid} still runs the server in {self.data}")
            time.sleep(0.1)
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _end_of_log(self) -> str:
        log = self.data / "logs" / "postgresql.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join([*lines[-8:], f"(the whole log is {log})"])


def _lock_now(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _servers_in(directory: Path) -> list[psutil.Process]:
    """Processes of a PostgreSQL server whose working directory is the cluster."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name().startswith("postgres") and Path(process.cwd()) == directory:
                found.append(process)
    return found


def _sockets(directory: Path) -> Path | None:
    """The socket directory a server wrote into postmaster.pid (its line 5), None without one."""
    try:
        lines = (directory / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def _ping(sockets: Path) -> pq.Ping:
    url = _url(sockets, user=cluster.SUPERUSER, database="postgres")
    return pq.Ping(pq.PGconn.ping(url.encode()))


def _url(sockets: Path, *, user: str = cluster.NAME, database: str = cluster.NAME) -> str:
    """A URL that libpq, SQLAlchemy and pydantic all read (the last one insists on a host)."""
    host = quote(os.fsencode(sockets), safe="")
    return f"postgresql://{user}@localhost/{database}?host={host}&port={cluster.PORT}"


def _prepare(sockets: Path) -> None:
    """Our role and our database, where they are missing."""
    name = sql.Identifier(cluster.NAME)
    url = _url(sockets, user=cluster.SUPERUSER, database="postgres")
    with psycopg.connect(url, autocommit=True) as db:
        if not db.execute("SELECT FROM pg_roles WHERE rolname = %s", [cluster.NAME]).rowcount:
            db.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(name))
        if not db.execute("SELECT FROM pg_database WHERE datname = %s", [cluster.NAME]).rowcount:
            db.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
