"""Zip archives: read without being unpacked, and refused when they are built to do harm."""

import zipfile
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.images.store import ImageStore
from tests.support.factories import add_project
from tests.support.imports import Importer, archive, lines, picture, row


@pytest.fixture
def importer(db: Session, tmp_path: Path) -> Importer:
    return Importer(db, add_project(db), ImageStore(tmp_path / "store"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "samples.zip"


def test_images_are_found_beside_the_jsonl_file(importer: Importer, path: Path) -> None:
    samples = lines(row(1, images=["img/a.png", "../common/b.png"]))
    files = {
        "deck/samples.jsonl": samples,
        "deck/img/a.png": picture("red"),
        "common/b.png": picture("blue"),
        "__MACOSX/deck/._samples.jsonl": b"x",
    }
    report = importer(archive(path, files))
    assert (report.added, report.images) == (1, 2)


@pytest.mark.parametrize(
    "name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:/evil.png"]
)
def test_an_entry_outside_the_archive_is_refused(
    importer: Importer, path: Path, tmp_path: Path, name: str
) -> None:
    before = {*tmp_path.iterdir()}
    [error] = importer.refused(archive(path, {"s.jsonl": lines(row()), name: picture()}))
    assert error.startswith("samples.zip: ")
    assert {*tmp_path.iterdir()} - before == {path}


@pytest.mark.parametrize("image", ["../../a.png", "/a.png", "https://a.example/a.png"])
def test_a_line_cannot_name_an_image_outside_the_archive(
    importer: Importer, path: Path, image: str
) -> None:
    files = {"deck/s.jsonl": lines(row(images=[image])), "a.png": picture()}
    [error] = importer.refused(archive(path, files))
    assert error.startswith("s.jsonl, line 1, images[0]: ")


def test_an_archive_that_unpacks_to_hundreds_of_times_its_size_is_refused(
    importer: Importer, path: Path
) -> None:
    [error] = importer.refused(archive(path, {"s.jsonl": b" " * (80 * 2**20)}))
    assert error.endswith("bytes would unpack to 83,886,080: that is refused.")


def test_an_archive_with_too_many_files_is_refused(
    importer: Importer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.samples.importing.trees.MAX_FILES", 3)
    [error] = importer.refused(archive(path, {f"{number}.png": b"x" for number in range(4)}))
    assert error == "samples.zip: The archive holds more than 3 files."


def test_an_image_with_too_many_bytes_is_refused(
    importer: Importer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.images.inspection.MAX_BYTES", 100)
    files = {"s.jsonl": lines(row(images=["a.png"])), "a.png": picture(size=(300, 300))}
    [error] = importer.refused(archive(path, files))
    assert error.startswith("s.jsonl, line 1, images[0]: The image has more than ")


def test_an_entry_that_is_there_twice_is_refused(importer: Importer, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("s.jsonl", lines(row(1)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("s.jsonl", lines(row(2)))
    assert importer.refused(path) == ["samples.zip: The archive holds s.jsonl twice."]


def test_shards_are_read_one_after_the_other(importer: Importer, path: Path) -> None:
    shards = {
        "data/train-1.jsonl": lines({"instruction": "Two.", "images": ["b.png"]}),
        "data/train-0.jsonl": lines({"instruction": "One.", "images": []}),
        "data/b.png": picture(),
    }
    importer(archive(path, shards))
    found = [(sample.source_id, sample.instruction) for sample in importer.samples()]
    assert found == [("data/train-0:1", "One."), ("data/train-1:1", "Two.")]


def test_files_of_several_kinds_are_refused(importer: Importer, path: Path) -> None:
    files = {"a.jsonl": lines(row()), "b.parquet": b"PAR1"}
    assert importer.refused(archive(path, files)) == [
        "samples.zip: There are files of several kinds: JSON Lines (1), Parquet (1). Import one "
        "kind alone."
    ]


def test_a_file_of_the_archive_that_is_no_table_is_named(importer: Importer, path: Path) -> None:
    files = {"a.jsonl": lines(row()), "b.jsonl": b"\x1f\x8b\x08\x00"}
    [error] = importer.refused(archive(path, files))
    assert error.startswith("samples.zip: b.jsonl: This file is compressed. Unpack it first")


def test_an_archive_that_holds_nothing_of_ours_is_refused(importer: Importer, path: Path) -> None:
    [error] = importer.refused(archive(path, {"readme.txt": b"hello"}))
    assert error.startswith("samples.zip: It holds no data file (.jsonl, .json, .parquet, .arrow)")


def test_a_cut_off_archive_is_refused(importer: Importer, path: Path) -> None:
    archive(path, {"s.jsonl": lines(row()) * 50})
    path.write_bytes(path.read_bytes()[:-30])
    [error] = importer.refused(path)
    assert error.startswith("samples.zip: The zip archive is damaged: ")


def test_a_damaged_entry_is_refused(importer: Importer, path: Path) -> None:
    image = picture(size=(300, 300))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("s.jsonl", lines(row(images=["a.png"])))
        file.writestr("a.png", image)
    data = bytearray(path.read_bytes())
    data[data.index(image) + 60] ^= 0xFF
    path.write_bytes(bytes(data))
    [error] = importer.refused(path)
    assert error.startswith("s.jsonl, line 1, images[0]: The entry a.png of the archive is damaged")


def test_a_damaged_jsonl_entry_is_refused(importer: Importer, path: Path) -> None:
    samples = lines(row())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("s.jsonl", samples)
    data = bytearray(path.read_bytes())
    data[data.index(b"Welcome")] ^= 0x01
    path.write_bytes(bytes(data))
    [error] = importer.refused(path)
    assert "damaged" in error
