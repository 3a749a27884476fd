"""Data sets of Hugging Face: Parquet and Arrow, images as bytes, shards in a folder."""

import io
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from sqlalchemy.orm import Session

from app.images.store import ImageStore
from tests.support.factories import add_project
from tests.support.imports import Importer, archive, picture, texts

IMAGES = pyarrow.list_(pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]))
# LongWriter-V-22k, and MMLongBench-Write with LongWrite-V-Ruler: their columns and types.
LONGWRITER_V = pyarrow.schema(
    [("id", pyarrow.int64()), ("messages", pyarrow.list_(pyarrow.string())), ("images", IMAGES)]
)
RULER = pyarrow.schema(
    [("id", pyarrow.int64()), ("question", pyarrow.string()), ("L", pyarrow.int64()),
     ("images", IMAGES)]
)  # fmt: skip
LONGWRITER = pyarrow.schema(
    [("messages", pyarrow.list_(pyarrow.struct(
        [("role", pyarrow.string()), ("content", pyarrow.string())])))]
)  # fmt: skip


def with_features(schema: Any) -> Any:
    """The schema with the metadata that datasets writes beside it."""
    image = {"feature": {"_type": "Image"}, "_type": "List"}
    features = {"info": {"features": {"images": image}}}
    return schema.with_metadata({"huggingface": json.dumps(features)})


def parquet(schema: Any, rows: list[dict[str, Any]], **options: Any) -> bytes:
    """A Parquet file as datasets writes it."""
    file = io.BytesIO()
    table = pyarrow.Table.from_pylist(rows, schema=with_features(schema))
    pyarrow.parquet.write_table(table, file, **options)
    return file.getvalue()


def arrow_stream(schema: Any, rows: list[dict[str, Any]]) -> bytes:
    """A data-*.arrow file of save_to_disk."""
    file = io.BytesIO()
    with pyarrow.ipc.new_stream(file, with_features(schema)) as writer:
        writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema), max_chunksize=2)
    return file.getvalue()


def image(colour: str = "teal", path: str | None = None) -> dict[str, Any]:
    return {"bytes": picture(colour), "path": path}


LECTURES = [
    {"id": number, "messages": ["Write a lecture.", f"## Slide 1\n\nText {number}."],
     "images": [image("red", "1.png"), image("blue")]}
    for number in range(5)
]  # fmt: skip


@pytest.fixture
def importer(db: Session, tmp_path: Path) -> Importer:
    return Importer(db, add_project(db), ImageStore(tmp_path / "store"))


def test_a_parquet_file_of_longwriter_v_is_imported(importer: Importer, tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001.parquet"
    path.write_bytes(parquet(LONGWRITER_V, LECTURES, row_group_size=2))
    report = importer(path)
    assert (report.added, report.images) == (5, 2)
    assert texts(importer.output("4")) == ["## Slide 1\n\nText 4."]
    assert importer.samples()[0].instruction == "Write a lecture."
    assert importer(path).unchanged == 5


def test_a_folder_of_save_to_disk_is_imported(importer: Importer, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "state.json").write_text('{"_data_files": []}')
    (folder / "dataset_info.json").write_text("{}")
    (folder / "data-00000-of-00002.arrow").write_bytes(arrow_stream(LONGWRITER_V, LECTURES[:3]))
    (folder / "data-00001-of-00002.arrow").write_bytes(arrow_stream(LONGWRITER_V, LECTURES[3:]))
    (folder / "cache-12ab.arrow").write_bytes(b"of datasets itself")
    assert importer(folder).added == 5


def test_questions_with_lengths_wait_for_a_model(importer: Importer, tmp_path: Path) -> None:
    rows = [{"id": 1, "question": "Write.", "L": 2000, "images": [image()]}]
    (tmp_path / "ruler.parquet").write_bytes(parquet(RULER, rows))
    importer(tmp_path / "ruler.parquet")
    [sample] = importer.samples()
    assert (sample.instruction, sample.target_words) == ("Write.", 2000)


def test_messages_as_structs_are_imported_from_a_zip(importer: Importer, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "写"}, {"role": "assistant", "content": "好。"}]
    made = parquet(LONGWRITER, [{"messages": messages}])
    path = archive(tmp_path / "six.zip", {"default/train/0000.parquet": made})
    importer(path)
    assert importer.samples()[0].source_id == "0000:1"


def test_a_path_in_a_data_set_is_never_opened(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture())
    images = [{"bytes": None, "path": str(tmp_path / "secret.png")}]
    rows = [LECTURES[0], LECTURES[1] | {"images": images}]
    (tmp_path / "a.parquet").write_bytes(parquet(LONGWRITER_V, rows))
    [error] = importer.refused(tmp_path / "a.parquet")
    assert error.startswith("a.parquet, row 2, images[0]: The image has no bytes, only the path ")


def test_bytes_that_are_no_image_are_named_by_their_row(importer: Importer, tmp_path: Path) -> None:
    rows = [LECTURES[0], LECTURES[1] | {"images": [{"bytes": b"<svg/>", "path": None}]}]
    (tmp_path / "a.arrow").write_bytes(arrow_stream(LONGWRITER_V, rows))
    [error] = importer.refused(tmp_path / "a.arrow")
    assert error.startswith("a.arrow, row 2, images[0]: This is not an image")


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_file_that_is_cut_off_is_one_error(
    importer: Importer, tmp_path: Path, ending: str
) -> None:
    make = parquet if ending == "parquet" else arrow_stream
    data = make(LONGWRITER_V, LECTURES)
    (tmp_path / f"a.{ending}").write_bytes(data[: len(data) // 2])
    [error] = importer.refused(tmp_path / f"a.{ending}")
    assert "The file is damaged or cut off: " in error


def test_without_pyarrow_the_extra_is_named(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(_name: str) -> Any:
        raise ImportError

    monkeypatch.setattr("app.samples.importing.readers.arrow.import_module", absent)
    (tmp_path / "a.parquet").write_bytes(parquet(LONGWRITER_V, LECTURES))
    [error] = importer.refused(tmp_path / "a.parquet")
    assert 'pip install "iterdpo-studio[parquet]"' in error


@pytest.fixture
def lectures(tmp_path: Path) -> Any:
    """The rows as a data set that the library of Hugging Face has made."""
    features = datasets.Features(
        {
            "id": datasets.Value("int64"),
            "messages": datasets.List(datasets.Value("string")),
            "images": datasets.List(datasets.Image()),
        }
    )
    return datasets.Dataset.from_list(LECTURES, features=features)


def test_what_datasets_writes_as_parquet_is_imported(
    importer: Importer, tmp_path: Path, lectures: Any
) -> None:
    lectures.to_parquet(str(tmp_path / "train.parquet"))
    report = importer(tmp_path / "train.parquet")
    assert (report.added, report.images) == (5, 2)


def test_what_datasets_saves_to_disk_is_imported(
    importer: Importer, tmp_path: Path, lectures: Any
) -> None:
    datasets.DatasetDict({"train": lectures}).save_to_disk(str(tmp_path / "saved"))
    report = importer(tmp_path / "saved")
    assert (report.added, report.images) == (5, 2)


def test_an_arrow_file_in_an_archive_is_read_from_the_archive_alone(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file of the entry's name in the working directory is not what was sent.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.arrow").write_bytes(arrow_stream(LONGWRITER_V, LECTURES))
    own = arrow_stream(LONGWRITER_V, LECTURES[:2])
    assert importer(archive(tmp_path / "saved.zip", {"data.arrow": own})).added == 2
