"""Training from the feed as docs/training.md shows it."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.settings import ROOT
from iterdpo import load_pairs
from tests.trl.annotated import written
from tests.trl.conftest import House

LINES = 10


def example() -> str:
    """The code in docs/training.md that trains from the feed."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "training.md").read_text(), re.S)
    (found,) = [block for block in blocks if 'format="trl"' in block]
    return str(found)


def test_the_example_in_the_docs_trains_from_the_feed(
    house: House, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    code = example()
    assert len(code.strip().splitlines()) <= LINES
    names: dict[str, Any] = {"token": house.token}
    # The studio and the model of the tests, and a few steps on a CPU.
    for before, after in (
        ("https://studio.example", house.studio.url),
        ("Qwen/Qwen2.5-VL-7B-Instruct", str(model)),
        ("max_length=None,", "max_length=None, bf16=False, report_to='none', max_steps=2,"),
        ("per_device_train_batch_size=1", "per_device_train_batch_size=4, logging_steps=1"),
    ):
        assert before in code
        code = code.replace(before, after)
    exec(compile(code, "docs/training.md", "exec"), names)  # noqa: S102 - the code of our own docs
    log = names["trainer"].state.log_history
    assert log[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert log[0]["grad_norm"] > 0


def test_rows_of_the_feed_are_those_of_the_export(house: House, tmp_path: Path) -> None:
    rows = load_pairs(house.studio.url, house.token, "lectures", format="trl", cache=tmp_path)
    exported = {row["pair_id"]: row for row in written(house.export / "metadata.jsonl")}
    assert sorted(rows["pair_id"]) == sorted(exported)
    for row in rows:
        known = exported[row["pair_id"]]
        files = known["images_file_names"]
        assert {name: row[name] for name in known if name in row} == {
            name: known[name] for name in known if name in row
        }
        for shown, file in zip(row["images"], files, strict=True):
            with Image.open(house.export / file) as original:
                assert shown.tobytes() == original.tobytes()
