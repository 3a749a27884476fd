"""The exports for ms-swift and LLaMA-Factory, row by row against the tree, as TRL's are.

The libraries themselves were shown the golden rows once; here the rule by which each joins a row
is held against those, and then applied to the real export of the annotated project.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.domain.export_items import PAIRS
from tests.domain.golden_files import PLACE
from tests.trl.annotated import written
from tests.trl.conftest import House
from tests.trl.joining import END, PAD, SYSTEM, Side, llamafactory_exact, ms_swift

Join = Callable[[dict[str, Any]], tuple[Side, Side]]
FORMATS = pytest.mark.parametrize(
    ("format", "join"), [("ms-swift", ms_swift), ("llamafactory-exact", llamafactory_exact)]
)


def sides(pair: Any, images: tuple[str, ...]) -> tuple[Side, Side]:
    """What a trainer must see of a pair."""
    before = (
        f"{SYSTEM}<|im_start|>user\n{PAD * len(images)}{pair.instruction}{END}\n"
        f"<|im_start|>assistant\n{pair.prefix}"
    )
    end = END if pair.ends_output else ""
    chosen, rejected = (Side(before, text + end, images) for text in (pair.chosen, pair.rejected))
    return chosen, rejected


@FORMATS
def test_the_rule_gives_of_the_golden_rows_what_the_trainers_were_seen_to_learn(
    format: str, join: Join
) -> None:
    rows = written(PLACE / format / "pairs.jsonl")
    trl = written(PLACE / "trl" / "metadata.jsonl")
    assert len(rows) == len(trl) == len(PAIRS)
    for row, shown, pair in zip(rows, trl, PAIRS, strict=True):
        assert join(row) == sides(pair, pair.image_files)
        # Which is, to the character, what TRL's rows say.
        assert [side.before for side in join(row)] == [shown["prompt"]] * 2
        assert [side.loss for side in join(row)] == [shown["chosen"], shown["rejected"]]


@FORMATS
def test_every_row_of_the_export_is_a_pair_of_the_tree(
    house: House, export_as: Callable[[str], Path], format: str, join: Join
) -> None:
    out = export_as(format)
    rows = written(out / "pairs.jsonl")
    ids = [row["pair_id"] for row in written(house.export / "metadata.jsonl")]
    assert len(rows) == len(ids) == len(house.expected)
    for pair_id, row in zip(ids, rows, strict=True):
        pair = house.expected[pair_id]
        files = tuple(f"images/{sha256}.png" for sha256 in pair.images)
        assert join(row) == sides(pair, files), pair_id
        for sha256, file in zip(pair.images, files, strict=True):
            original = house.store.original(sha256, "png")
            assert (out / file).read_bytes() == original.read_bytes()


@pytest.mark.parametrize("change", ["open", "end", "image", "flag"])
def test_the_rule_notices_a_row_that_teaches_something_else(change: str) -> None:
    first = (PLACE / "ms-swift" / "pairs.jsonl").read_text(encoding="utf-8").splitlines()[1]
    row, pair = json.loads(first), PAIRS[1]
    if change == "open":
        row["messages"][1]["content"] += "\n"
    elif change == "end":
        row["add_eos"] = True
    elif change == "image":
        row["images"].reverse()
    else:
        row["messages"][1]["loss"] = True
    assert ms_swift(row) != sides(pair, pair.image_files)
