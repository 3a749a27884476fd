"""A whole studio in one file: the database as pg_dump writes it, every image, every snapshot.

The file is a tar (its parts are compressed already): `manifest.json`, `database.dump` (pg_dump's
custom format), `images/<sha256>.<format>`, `snapshots/<id>/…` as their store has them. The SHA-256
of each is its name or stands in the manifest. Renditions are left out; the store makes them again.
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

from app.database import migrate
from app.database.postgres import tool
from app.refusals import Conflict, Invalid
from app.snapshots.backup import FOLDER as SNAPSHOTS
from app.snapshots.backup import NAME as SNAPSHOT
from app.snapshots.backup import Files, bring_back, snapshot_files

# 1: without snapshots.
FORMAT = 2
MANIFEST = "manifest.json"
DUMP = "database.dump"
IMAGE = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}")
CHUNK = 1 << 20
LOCK_TIMEOUT = "10s"

Advance = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much (0: unknown)."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds. lost: of how many ready snapshots the studio has no files any more."""

    made_at: str
    images: int
    snapshots: int
    lost: int
    bytes: int


def back_up(
    url: str, images: Path, snapshots: Path | None, file: Path, *, advance: Advance
) -> Contents:
    """Write the database and the files to `file`, replacing it whole or not at all.

    snapshots: their directory; None leaves their files out. The studio may work on meanwhile. The
    database is dumped first, in one transaction's view, which also says which snapshots there are;
    images are never changed and come before the rows that name them, so each one the dump names
    is there. Raises Invalid with pg_dump's words, or when the bytes of an image or a snapshot are
    not those that they were.
    """
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".iterdpo-backup-") as scratch:
            dump = Path(scratch) / DUMP
            advance("Dumping the database", 0, 0)
            kept = _dump(url, dump, snapshots)
            originals = sorted(path for path in images.rglob("*") if IMAGE.fullmatch(path.name))
            manifest = {
                "format": FORMAT,
                "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "schema": _revision(url),
                "database_sha256": _sha256(dump),
                "images": len(originals),
                "snapshots": kept.whole,
                "snapshots_lost": kept.lost,
                "snapshot_files": _snapshot_sums(kept, advance),
            }
            with tarfile.open(unfinished, "w") as archive:
                _add_bytes(archive, MANIFEST, orjson.dumps(manifest))
                archive.add(dump, DUMP)
                for done, path in enumerate(originals):
                    advance("Images", done, len(originals))
                    if _sha256(path) != path.stem:
                        raise Invalid(f"The image file {path} is damaged; its bytes have changed.")
                    archive.add(path, f"images/{path.name}")
                for done, (name, path) in enumerate(kept.paths.items()):
                    advance("Snapshots", done, len(kept.paths))
                    archive.add(path, f"{SNAPSHOTS}{name}")
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return _contents(manifest, file)


def restore(
    url: str, images: Path, snapshots: Path, file: Path, *, force: bool, advance: Advance
) -> Contents:
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
        files = [name for name in names if "/" in name]
        for name in names:
            if name in files:
                continue
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
        # Before the snapshots are looked for: an older schema has none.
        migrate.upgrade(url)
        # Last: they replace what belongs to the database that was there.
        with psycopg.connect(url) as db:
            bring_back(db, snapshots, Path(scratch), files)
    return _contents(manifest, file)


def _dump(url: str, to: Path, snapshots: Path | None) -> Files:
    """The database in `to`, and the files of the snapshots that are in the dump."""
    with psycopg.connect(url) as db, _client(url, to.parent) as dsn:
        db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        (view,) = db.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        words = ["--format=custom", "--no-owner", f"--snapshot={view}", f"--file={to}"]
        _run("pg_dump", *words, f"--dbname={dsn}")
        return snapshot_files(db, snapshots) if snapshots else Files({}, {}, 0, 0)


def _snapshot_sums(kept: Files, advance: Advance) -> dict[str, str]:
    sums = {}
    for done, (name, path) in enumerate(kept.paths.items()):
        advance("Checking snapshots", done, len(kept.paths))
        sums[name] = _sha256(path)
        if sums[name] != kept.archives.get(name, sums[name]):
            raise Invalid(f"The snapshot file {path} is damaged; its bytes have changed.")
    return sums


def _contents(manifest: dict[str, Any], file: Path) -> Contents:
    return Contents(
        made_at=str(manifest["made_at"]),
        images=manifest["images"],
        snapshots=manifest.get("snapshots", 0),
        lost=manifest.get("snapshots_lost", 0),
        bytes=file.stat().st_size,
    )


def _unpack(file: Path, into: Path, advance: Advance) -> tuple[dict[str, Any], list[str]]:
    """The manifest and the names, after every part was written to `into` and checked.

    names: of images, and with a slash those beneath SNAPSHOTS. No other is used as a path: images
    must be named by their hash, files of snapshots as their store names them.
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
                name, wanted = _expected(part, manifest)
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(part)
                if source is None or _copy(source, into / name) != wanted:
                    raise Invalid(f"The backup is damaged: {part.name} is not what was saved.")
                if name != DUMP:
                    names.append(name)
    except (tarfile.TarError, EOFError) as error:
        raise Invalid(f"{file} is no intact backup of IterDPO Studio: {error}.") from error
    expected = manifest["images"] + len(manifest.get("snapshot_files", {}))
    if len(names) != expected or not (into / DUMP).exists():
        raise Invalid("The backup is incomplete: it ends before its last part.")
    return manifest, names


def _expected(part: tarfile.TarInfo, manifest: dict[str, Any]) -> tuple[str, str | None]:
    """The name of a part and its SHA-256. Raises Invalid for one that no backup holds."""
    name = part.name
    if part.isreg():
        if name == DUMP:
            return name, manifest["database_sha256"]
        image, file = name.removeprefix("images/"), name.removeprefix(SNAPSHOTS)
        if IMAGE.fullmatch(image):
            return image, image[:64]
        if SNAPSHOT.fullmatch(file):
            return file, manifest.get("snapshot_files", {}).get(file)
    raise Invalid(f"This is no backup of IterDPO Studio: it holds {name!r}.")


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    first = archive.next()
    source = archive.extractfile(first) if first and first.name == MANIFEST else None
    try:
        manifest = orjson.loads(source.read()) if source else None
    except orjson.JSONDecodeError:
        manifest = None
    if not isinstance(manifest, dict) or not {"format", "images", "database_sha256"} <= {*manifest}:
        raise Invalid("This is no backup of IterDPO Studio: it does not begin with a manifest.")
    if manifest["format"] not in (1, FORMAT) or not migrate.knows(manifest["schema"]):
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
