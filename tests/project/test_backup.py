"""A backup brings everything back, and nothing that is not exactly what was saved."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from PIL import Image

from app.backup import back_up, restore
from app.database.migrate import upgrade
from app.images.store import ImageStore
from app.refusals import Conflict, Invalid
from tests.conftest import database_of
from tests.support.snapshots import Vault, vault

STATEMENT = "INSERT INTO users (name, display_name, role) VALUES (%s, %s, 'annotator')"


def silent(what: str, done: int, total: int) -> None:
    pass


def add_user(url: str, name: str) -> None:
    with psycopg.connect(url) as db:
        db.execute(STATEMENT, [name, f"{name} 字 \\ '\" \t"])


def users(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as db:
        return db.execute("SELECT name, display_name FROM users ORDER BY name").fetchall()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A store with one image and its renditions."""
    file = io.BytesIO()
    Image.new("RGB", (400, 300), "teal").save(file, "PNG")
    ImageStore(tmp_path / "images").add(file.getvalue())
    return tmp_path / "images"


@pytest.fixture
def saved(committed_database: str, images: Path, tmp_path: Path) -> Path:
    """A backup of a database with the user anna, and of the image."""
    add_user(committed_database, "anna")
    contents = back_up(
        committed_database, images, tmp_path / "snapshots", tmp_path / "b.tar", advance=silent
    )
    assert contents.images == 1
    return tmp_path / "b.tar"


@pytest.fixture
def empty(server_url: str, committed_database: str) -> str:
    """Another database, without any table."""
    name = f"empty_{hashlib.sha256(committed_database.encode()).hexdigest()[:8]}"
    with psycopg.connect(server_url, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}".encode())
    return database_of(server_url, name)


def test_a_backup_restores_into_an_empty_database(
    saved: Path, empty: str, images: Path, tmp_path: Path
) -> None:
    contents = restore(
        empty, tmp_path / "other", tmp_path / "others", saved, force=False, advance=silent
    )
    assert contents.images == 1
    assert users(empty) == [("anna", "anna 字 \\ '\" \t")]
    (original,) = images.rglob("*.png")
    copy = tmp_path / "other" / original.relative_to(images)
    assert copy.read_bytes() == original.read_bytes()
    assert sorted((tmp_path / "other").rglob("*.webp")) == []
    assert [path for path in (tmp_path / "other").iterdir() if path.name.startswith(".")] == []


def test_a_database_in_use_is_replaced_only_by_force(
    saved: Path, committed_database: str, images: Path
) -> None:
    add_user(committed_database, "later")
    with pytest.raises(Conflict, match="not empty"):
        restore(
            committed_database,
            images,
            images.parent / "snapshots",
            saved,
            force=False,
            advance=silent,
        )
    assert len(users(committed_database)) == 2
    restore(
        committed_database, images, images.parent / "snapshots", saved, force=True, advance=silent
    )
    assert [name for name, _ in users(committed_database)] == ["anna"]
    upgrade(committed_database)


@pytest.mark.parametrize("at", [0.02, 0.3, 0.6, 0.9])
def test_a_cut_off_backup_changes_nothing(
    saved: Path, committed_database: str, images: Path, at: float
) -> None:
    add_user(committed_database, "later")
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * at)])
    with pytest.raises(Invalid):
        restore(
            committed_database,
            images,
            images.parent / "snapshots",
            saved,
            force=True,
            advance=silent,
        )
    assert len(users(committed_database)) == 2


def test_changed_bytes_are_noticed(saved: Path, empty: str, tmp_path: Path) -> None:
    with tarfile.open(saved) as archive:
        places = {part.name: part.offset_data + part.size // 2 for part in archive}
    good = saved.read_bytes()
    for name, place in places.items():
        if name == "manifest.json":
            continue
        saved.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(Invalid, match="damaged"):
            restore(
                empty, tmp_path / "other", tmp_path / "others", saved, force=False, advance=silent
            )


@pytest.mark.parametrize(
    "name", ["../evil.png", "/etc/evil", "images/../../evil", "images/x.png", "snapshots/../x"]
)
def test_no_name_in_the_file_is_used_as_a_path(
    saved: Path, empty: str, tmp_path: Path, name: str
) -> None:
    with tarfile.open(saved, "a") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(Invalid, match="no backup"):
        restore(empty, tmp_path / "other", tmp_path / "others", saved, force=False, advance=silent)
    assert list(tmp_path.rglob("evil*")) == []


def test_a_file_that_is_no_backup_is_refused(empty: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n" * 1000)
    with pytest.raises(Invalid, match="no intact backup"):
        restore(
            empty,
            tmp_path / "other",
            tmp_path / "others",
            tmp_path / "text",
            force=False,
            advance=silent,
        )


def test_a_damaged_image_stops_the_backup_and_keeps_the_old_one(
    saved: Path, committed_database: str, images: Path
) -> None:
    before = saved.read_bytes()
    (original,) = images.rglob("*.png")
    original.write_bytes(b"rot")
    with pytest.raises(Invalid, match="damaged"):
        back_up(committed_database, images, None, saved, advance=silent)
    assert saved.read_bytes() == before
    assert sorted(path.name for path in saved.parent.iterdir()) == ["b.tar", "images"]


@pytest.fixture
def frozen(committed_database: str, tmp_path: Path) -> Iterator[tuple[Vault, int, int]]:
    """Snapshots: one ready, one that waits, one without files; the ids of the first two."""
    with vault(committed_database, tmp_path) as made:
        made.fill()
        ready, lost = made.make("round-1"), made.make("round-0")
        waiting = made.ask("round-2")
        made.store.drop(lost.id)
        yield made, ready.id, waiting


def files_of(root: Path) -> dict[str, bytes]:
    """All files beneath a directory, by name."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_snapshots_come_back_with_their_files(
    frozen: tuple[Vault, int, int], committed_database: str, empty: str, tmp_path: Path
) -> None:
    made, ready, waiting = frozen
    before = files_of(made.store.root)
    file = tmp_path / "b.tar"
    contents = back_up(
        committed_database, tmp_path / "images", made.store.root, file, advance=silent
    )
    assert (contents.snapshots, contents.lost) == (1, 1)
    # What stands there belongs to another database.
    (tmp_path / "others" / str(ready) / "1").mkdir(parents=True)
    (tmp_path / "others" / str(ready) / "1" / "archive.zip").write_text("another's")
    had = restore(empty, tmp_path / "other", tmp_path / "others", file, force=False, advance=silent)
    assert (had.snapshots, had.lost) == (1, 1)
    assert files_of(tmp_path / "others") == before
    assert len(before) == 2
    # The one that waits can be built.
    folders = {path.name for path in (tmp_path / "others").iterdir()}
    assert folders == {str(ready), str(waiting)}


def test_without_them_only_files_that_the_database_means_stay(
    frozen: tuple[Vault, int, int], committed_database: str, tmp_path: Path
) -> None:
    made, ready, _ = frozen
    file, images = tmp_path / "b.tar", tmp_path / "images"
    assert back_up(committed_database, images, None, file, advance=silent).snapshots == 0
    before = files_of(made.store.root)
    restore(committed_database, images, made.store.root, file, force=True, advance=silent)
    assert files_of(made.store.root) == before
    made.archive(made.row(ready)).write_bytes(b"another's")
    restore(committed_database, images, made.store.root, file, force=True, advance=silent)
    assert files_of(made.store.root) == {}


def test_a_damaged_snapshot_stops_the_backup(
    frozen: tuple[Vault, int, int], committed_database: str, tmp_path: Path
) -> None:
    made, ready, _ = frozen
    made.archive(made.row(ready)).write_bytes(b"rot")
    with pytest.raises(Invalid, match=r"archive\.zip is damaged"):
        back_up(
            committed_database,
            tmp_path / "images",
            made.store.root,
            tmp_path / "b.tar",
            advance=silent,
        )
