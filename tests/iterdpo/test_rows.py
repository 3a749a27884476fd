"""Rows of an exported directory: checked against what was exported, the same as pulled ones."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iterdpo.duplicates import allowed
from iterdpo.pulling import finished
from iterdpo.refusals import TrainingRefusal
from iterdpo.rows import (
    TRAIN,
    VALIDATION,
    Row,
    data_hash,
    directory_source,
    held_out,
    pulled_source,
)
from tests.iterdpo.breaking import line_of, some_pairs

Write = Callable[..., Path]


def exported(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "images_file_names": [],
        "prompt": "rendered",
        "pair_id": str(number),
        "is_last": False,
        "instruction": f"Write {number % 3}.",
        "prefix": "",
        "segment_chosen": f"Better {number}.",
        "segment_rejected": "Worse.",
        "on_policy": True,
    } | fields


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_disk(*rows: dict[str, Any], split: str = "", images: tuple[str, ...] = ()) -> Path:
        place = tmp_path / "trl" / split
        (place / "images").mkdir(parents=True)
        for text in images:
            name = hashlib.sha256(text.encode()).hexdigest()
            (place / "images" / f"{name}.png").write_bytes(text.encode())
        lines = [json.dumps(row) for row in rows]
        (place / "metadata.jsonl").write_text("\n".join(lines))
        return tmp_path / "trl"

    return to_disk


def test_the_order_of_rows_follows_from_what_they_teach(write: Write, tmp_path: Path) -> None:
    rows = [exported(10), exported(9), exported(2)]
    one = directory_source(write(*rows)).splits[TRAIN]
    shutil.rmtree(tmp_path / "trl")
    # In another order, and another one of two equal pairs.
    other = directory_source(write(*reversed(rows[1:]), rows[0] | {"pair_id": "77"})).splits[TRAIN]
    assert [row.chosen for row in one] == [row.chosen for row in other]
    assert data_hash(one) == data_hash(other)


def test_splits_are_read_where_a_snapshot_has_them(write: Write) -> None:
    write(exported(1), split="train")
    source = directory_source(write(exported(2), exported(3), split="validation"))
    assert {name: len(rows) for name, rows in source.splits.items()} == {TRAIN: 1, VALIDATION: 2}


def test_images_are_those_of_their_names(write: Write) -> None:
    sha256 = hashlib.sha256(b"one").hexdigest()
    row = exported(1, images_file_names=[f"images/{sha256}.png"])
    place = write(row, images=("one",))
    source = directory_source(place)
    assert source.splits[TRAIN][0].images == (sha256,)
    assert source.image(sha256).read_bytes() == b"one"
    (place / "images" / f"{sha256}.png").write_bytes(b"two")
    with pytest.raises(TrainingRefusal, match="was changed since the export"):
        directory_source(place)


@pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "images/x.png", f"images/{'0' * 64}"])
def test_an_image_outside_the_export_is_refused(write: Write, name: str) -> None:
    with pytest.raises(TrainingRefusal, match="no image of an export"):
        directory_source(write(exported(1, images_file_names=[name])))


def test_what_is_no_export_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(TrainingRefusal, match=r"no metadata\.jsonl"):
        directory_source(tmp_path)
    with pytest.raises(TrainingRefusal, match="line 2: no row of an export"):
        directory_source(write(exported(1), {"prompt": "x"}))


def test_the_hash_is_of_what_is_learned(write: Write) -> None:
    rows = directory_source(write(exported(1), exported(2))).splits[TRAIN]
    assert data_hash(rows) == data_hash(list(rows))
    assert data_hash(rows) != data_hash(rows[:1])


def test_a_sample_is_held_out_whole(write: Write) -> None:
    rows = directory_source(write(*map(exported, range(1, 31)))).splits[TRAIN]
    train, aside = held_out(rows, 0.3, seed=1)
    assert len(train) + len(aside) == 30
    assert {row.sample for row in train}.isdisjoint({row.sample for row in aside})
    assert len({row.sample for row in aside}) == 1
    assert held_out(rows, 0.0, seed=1) == (list(rows), [])
    one: list[Row] = [row for row in rows if row.sample == rows[0].sample]
    with pytest.raises(TrainingRefusal, match="one sample"):
        held_out(one, 0.3, seed=1)


def test_a_pulled_pair_that_teaches_the_same_is_left_out_and_named(tmp_path: Path) -> None:
    first, second, third = some_pairs(3)
    again = first | {"pair_id": "9", "sample": "another", "annotator": "bob", "cursor": 99}
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"".join(map(line_of, (first, second, third, again))))
    pulled = finished(path)
    source = pulled_source(pulled, "feed", Path)
    assert sorted(row.pair_id for row in source.splits[TRAIN]) == ["1", "2", "3"]
    assert source.left_out == {"duplicate": ["9"]}
    kept = pulled_source(pulled, "feed", Path, duplicates=True)
    assert len(kept.splits[TRAIN]) == 4
    assert kept.left_out == {}


@pytest.mark.parametrize(
    ("allow", "stay"),
    [("duplicate", True), (["tokens", "duplicate"], True), ("tokens", False), (None, False)],
)
def test_duplicates_stay_where_the_gate_is_told_so(allow: Any, stay: bool) -> None:
    assert allowed({"allow": allow}) is stay
