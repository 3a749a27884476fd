"""Parquet holds the pairs as they are, each image once, and says when it cannot be written."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet
import pytest
from PIL import Image

from app.domain.formats import Pair, Target
from app.domain.formats.parquet import PAIR_COLUMNS, rows
from app.domain.prompts import Template
from app.exports.parquet import GROUP_BYTES, pair_table, write_images
from app.refusals import Conflict
from tests.domain.export_items import PAIRS

TARGET = Target(Template.QWEN2_5_VL)


def written(pairs: list[Pair]) -> pyarrow.parquet.ParquetFile:
    file = io.BytesIO()
    with pair_table(file) as table:
        for pair in pairs:
            for row in rows(pair, TARGET):
                table.add(row)
    return pyarrow.parquet.ParquetFile(file)


def test_a_pair_is_read_as_it_was_written() -> None:
    file = written(list(PAIRS))
    assert file.schema_arrow.names == list(PAIR_COLUMNS)
    expected = [row for pair in PAIRS for row in rows(pair, TARGET)]
    assert file.read().to_pylist() == expected


def test_the_same_pairs_give_the_same_bytes() -> None:
    first, second = io.BytesIO(), io.BytesIO()
    for file in (first, second):
        with pair_table(file) as table:
            for pair in PAIRS:
                table.add(rows(pair, TARGET)[0])
    assert first.getvalue() == second.getvalue()


def test_every_text_is_compressed_with_zstd() -> None:
    group = written(list(PAIRS)).metadata.row_group(0)
    assert {group.column(n).compression for n in range(group.num_columns)} == {"ZSTD"}


def test_memory_is_bounded_by_row_groups() -> None:
    long = replace(PAIRS[0], prefix="x" * (GROUP_BYTES // 2))
    assert written([long] * 5).metadata.num_row_groups == 3


def test_shared_prefixes_cost_little() -> None:
    words = " ".join(str(number * 7919 % 9973) for number in range(4000))
    pairs = [replace(PAIRS[0], pair_id=n, prefix=words[: 700 * n]) for n in range(26)]
    group = written(pairs).metadata.row_group(0)
    size = group.column(list(PAIR_COLUMNS).index("prefix")).total_compressed_size
    assert size < len(words)


def test_an_image_stands_once_and_datasets_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the README of the export does it."""
    sha256 = PAIRS[3].images[0]
    image = tmp_path / "image.png"
    Image.new("RGB", (64, 48), "navy").save(image)
    with (tmp_path / "images.parquet").open("wb") as file:
        assert write_images(file, [(sha256, "png", image), (sha256, "png", image)]) == 1
    with (tmp_path / "pairs.parquet").open("wb") as file, pair_table(file) as table:
        table.add(rows(PAIRS[3], TARGET)[0])
    pairs, images = (
        loaded(tmp_path, f"{name}.parquet", monkeypatch) for name in ("pairs", "images")
    )
    images = images.cast_column("image", datasets.Image())
    place = {sha256: number for number, sha256 in enumerate(images["sha256"])}
    (shown,) = [images[place[sha256]]["image"] for sha256 in pairs[0]["images"]]
    assert shown.size == (64, 48)
    assert pairs[0]["prefix"] == PAIRS[3].prefix


def loaded(tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / file),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )


def test_without_pyarrow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Conflict, match=r"iterdpo-studio\[parquet\]"), pair_table(io.BytesIO()):
        pass
