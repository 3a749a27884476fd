"""A backup that an earlier version wrote comes back, in the schema and the format of then."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import psycopg
import pytest

from app.backup import restore
from app.database import migrate
from app.database.postgres import tool
from app.refusals import Invalid
from tests.conftest import database_of
from tests.project.test_backup import STATEMENT, silent, users
from tests.support.imports import picture

# The last one before snapshots: what format 1 was made from when it was new.
OLD_SCHEMA = "0010"


@pytest.fixture
def old(server_url: str) -> str:
    """A database of an earlier version, with the user anna."""
    url = made(server_url, "before_snapshots")
    migrate.upgrade(url, OLD_SCHEMA)
    with psycopg.connect(url) as db:
        db.execute(STATEMENT, ["anna", "Anna"])
    return url


def made(server_url: str, name: str) -> str:
    """A database without any table, instead of one of that name."""
    with psycopg.connect(server_url, autocommit=True) as db:
        db.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        db.execute(f"CREATE DATABASE {name}".encode())
    return database_of(server_url, name)


def format_1(url: str, image: bytes, file: Path, *, format: int = 1, schema: str = "") -> Path:
    """What `iterdpo backup` wrote before there were snapshots: a dump and images, in a tar."""
    dump = file.with_suffix(".dump")
    words = ["--format=custom", "--no-owner", f"--file={dump}", f"--dbname={url}"]
    subprocess.run([str(tool("pg_dump")), *words], check=True)
    with psycopg.connect(url) as db:
        (revision,) = db.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
    manifest = {
        "format": format,
        "made_at": "2026-11-02T08:00:00+00:00",
        "schema": schema or revision,
        "database_sha256": hashlib.sha256(dump.read_bytes()).hexdigest(),
        "images": 1,
    }
    parts = {
        "manifest.json": json.dumps(manifest).encode(),
        "database.dump": dump.read_bytes(),
        f"images/{hashlib.sha256(image).hexdigest()}.png": image,
    }
    with tarfile.open(file, "w") as archive:
        for name, content in parts.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return file


def test_a_backup_from_before_snapshots_comes_back(
    old: str, server_url: str, tmp_path: Path
) -> None:
    image = picture("teal")
    file = format_1(old, image, tmp_path / "old.tar")
    target = made(server_url, "restored_old")
    images, snapshots = tmp_path / "images", tmp_path / "snapshots"
    contents = restore(target, images, snapshots, file, force=False, advance=silent)
    assert (contents.images, contents.snapshots, contents.lost) == (1, 0, 0)
    assert contents.made_at == "2026-11-02T08:00:00+00:00"
    assert users(target) == [("anna", "Anna")]
    assert [path.read_bytes() for path in images.rglob("*.png")] == [image]
    # In the schema of now: nothing is left to migrate.
    with psycopg.connect(target) as db:
        assert db.execute("SELECT count(*) FROM snapshots").fetchone() == (0,)
    migrate.check(target)


def test_it_takes_the_place_of_a_studio_with_snapshots(
    old: str, committed_database: str, tmp_path: Path
) -> None:
    file = format_1(old, picture("teal"), tmp_path / "old.tar")
    snapshots = tmp_path / "snapshots"
    restore(committed_database, tmp_path / "i", snapshots, file, force=True, advance=silent)
    assert users(committed_database) == [("anna", "Anna")]


@pytest.mark.parametrize(("format", "schema"), [(3, ""), (1, "9999")])
def test_one_of_a_newer_version_is_refused(
    old: str, committed_database: str, tmp_path: Path, format: int, schema: str
) -> None:
    file = format_1(old, picture("teal"), tmp_path / "new.tar", format=format, schema=schema)
    with pytest.raises(Invalid, match="newer version"):
        restore(
            committed_database, tmp_path / "i", tmp_path / "s", file, force=True, advance=silent
        )
    assert users(committed_database) == []
