"""A whole studio in one file: the database as pg_dump writes it, and the bytes of every image.

The file is a tar (its parts are compressed already): `manifest.json`, `database.dump` (pg_dump's
custom format, its SHA-256 in the manifest), `images/<sha256>.<format>`. Renditions are left out;
the store makes them again.
"""

import hashlib
import io
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app import migrate
from app.postgres import tool
from app.refusals import Conflict, Invalid

FORMAT = 1
MANIFEST = "manifest.json"
DUMP = "database.dump"
IMAGE = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}")
CHUNK = 1 << 20
LOCK_TIMEOUT = "10s"

Advance = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much (0: unknown)."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds."""

    made_at: str
    images: int
    bytes: int


def back_up(url: str, images: Path, file: Path, *, advance: Advance) -> Contents:
    """Write the database and the images to `file`, replacing it whole or not at all.

    The studio may work on meanwhile. The database is dumped first, in one snapshot; images are
    never changed and come before the rows that name them, so each one the dump names is there.
    Raises Invalid with pg_dump's words, or when an image's bytes are not those of its name.
    """
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".iterdpo-backup-") as scratch:
            dump = Path(scratch) / DUMP
            advance("Dumping the database", 0, 0)
            with _client(url, Path(scratch)) as dsn:
                _run(
                    "pg_dump", "--format=custom", "--no-owner", f"--file={dump}", f"--dbname={dsn}"
                )
            originals = sorted(path for path in images.rglob("*") if IMAGE.fullmatch(path.name))
            manifest = {
                "format": FORMAT,
                "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "schema": _revision(url),
                "database_sha256": _sha256(dump),
                "images": len(originals),
            }
            with tarfile.open(unfinished, "w") as archive:
                _add_bytes(archive, MANIFEST, orjson.dumps(manifest))
                archive.add(dump, DUMP)
                for done, path in enumerate(originals):
                    advance("Images", done, len(originals))
                    if _sha256(path) != path.stem:
                        raise Invalid(f"The image file {path} is damaged; its bytes have changed.")
                    archive.add(path, f"images/{path.name}")
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return Contents(str(manifest["made_at"]), len(originals), file.stat().st_size)


def restore(url: str, images: Path, file: Path, *, force: bool, advance: Advance) -> Contents:
    """Bring a backup back, then migrate it to this code's schema.

    Every part is checked before the first change. The database is replaced in one transaction: an
    interrupted restore changes nothing. Images that are there already stay. Raises Invalid for a
    file that is no intact backup, Conflict when the database holds users or projects and `force`
    is False, or when it is in use.
    """
    if not force and not _is_empty(url):
        raise Conflict(
            "The database is not empty. With --force everything in it is replaced by the backup."
        )
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=images, prefix=".restoring-") as scratch:
        manifest, names = _unpack(file, Path(scratch), advance)
        script = Path(scratch) / "restore.sql"
        advance("Restoring the database", 0, 0)
        dump = str(Path(scratch) / DUMP)
        _run("pg_restore", "--no-owner", "--no-privileges", f"--file={script}", dump)
        # Images first, as everywhere: a row must never name one that is not there.
        for name in names:
            place = images / name[:2] / name
            place.parent.mkdir(exist_ok=True)
            (Path(scratch) / name).replace(place)
        with _client(url, Path(scratch)) as dsn:
            _run(
                "psql",
                "--no-psqlrc",
                "--quiet",
                "--single-transaction",
                "--set=ON_ERROR_STOP=1",
                "--output=/dev/null",
                f"--dbname={dsn}",
                f"--command=SET lock_timeout = '{LOCK_TIMEOUT}'",
                "--command=SET client_min_messages = warning",
                "--command=DROP SCHEMA public CASCADE",
                "--command=CREATE SCHEMA public",
                "--command=GRANT USAGE ON SCHEMA public TO PUBLIC",
                f"--file={script}",
            )
    migrate.upgrade(url)
    return Contents(str(manifest["made_at"]), len(names), file.stat().st_size)


def _unpack(file: Path, into: Path, advance: Advance) -> tuple[dict[str, Any], list[str]]:
    """The manifest and the image names, after every part was written to `into` and checked.

    No name from the file is used as a path: images must be named by their hash.
    """
    size = file.stat().st_size
    names = []
    try:
        with tarfile.open(file, "r:") as archive:
            manifest = _manifest(archive)
            for part in archive:
                if part.name == MANIFEST:
                    continue
                advance("Checking the backup", part.offset_data, size)
                name = part.name.removeprefix("images/")
                if not part.isreg() or (name != DUMP and not IMAGE.fullmatch(name)):
                    raise Invalid(f"This is no backup of IterDPO Studio: it holds {part.name!r}.")
                source = archive.extractfile(part)
                wanted = manifest["database_sha256"] if name == DUMP else name[:64]
                if source is None or _copy(source, into / name) != wanted:
                    raise Invalid(f"The backup is damaged: {part.name} is not what was saved.")
                if name != DUMP:
                    names.append(name)
    except (tarfile.TarError, EOFError) as error:
        raise Invalid(f"{file} is no intact backup of IterDPO Studio: {error}.") from error
    if len(names) != manifest["images"] or not (into / DUMP).exists():
        raise Invalid("The backup is incomplete: it ends before its last part.")
    return manifest, names


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    first = archive.next()
    source = archive.extractfile(first) if first and first.name == MANIFEST else None
    try:
        manifest = orjson.loads(source.read()) if source else None
    except orjson.JSONDecodeError:
        manifest = None
    if not isinstance(manifest, dict) or not {"format", "images", "database_sha256"} <= {*manifest}:
        raise Invalid("This is no backup of IterDPO Studio: it does not begin with a manifest.")
    if manifest["format"] != FORMAT or not migrate.knows(manifest["schema"]):
        raise Invalid("The backup was made by a newer version of IterDPO Studio; update first.")
    return manifest


def _is_empty(url: str) -> bool:
    with psycopg.connect(url) as db:
        return not any(
            db.execute("SELECT to_regclass(%s)", [table]).fetchone() != (None,)
            and db.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table))).rowcount
            for table in ("users", "projects", "samples")
        )


def _revision(url: str) -> str:
    with psycopg.connect(url) as db:
        row = db.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


@contextmanager
def _client(url: str, scratch: Path) -> Iterator[str]:
    """A connection string for a child process; the password goes by file, unseen in `ps`."""
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    file = scratch / ".pgpass"
    if password is not None:
        escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
        file.touch(mode=0o600)
        file.write_text(f"*:*:*:*:{escaped}\n")
        parts["passfile"] = str(file)
    try:
        yield make_conninfo(**{name: str(value) for name, value in parts.items()})
    finally:
        file.unlink(missing_ok=True)


def _run(program: str, *words: str) -> None:
    done = subprocess.run(  # noqa: S603 (the bundled programs, no shell)
        [str(tool(program)), *words], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode == 0:
        return
    if "lock timeout" in done.stderr:
        raise Conflict("The database is in use. Stop the studio and its workers, then try again.")
    raise Invalid(f"{program} failed: {done.stderr.strip()}")


def _copy(source: IO[bytes], to: Path) -> str:
    """Write all of `source` to a new file; returns the SHA-256."""
    digest = hashlib.sha256()
    with to.open("xb") as target:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(data)
    archive.addfile(about, io.BytesIO(data))
