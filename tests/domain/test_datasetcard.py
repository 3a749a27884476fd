"""What goes with a snapshot for people, against files to be read."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.datasetcard import SnapshotFacts, SplitFacts, dataset_card, snapshot_readme
from app.domain.sums import FileSum, content_hash, sums_text

GOLDEN = Path(__file__).parent / "golden_cards"
FACTS = SnapshotFacts(
    name="round-2",
    project="lectures",
    format="trl",
    template="qwen2.5-vl",
    content_hash="9f" * 32,
    filter=(("kind", "rewrite"), ("tag", "a|b")),
    seed=7,
    validation=0.1,
    test=0.0,
    separate_images=True,
    splits=(SplitFacts("train", 12_480, 410, 9_001), SplitFacts("validation", 1_400, 45, 800)),
    left_out={"whitespace": 4, "duplicate": 1},
    languages=("en", "zh"),
)


def test_the_card_is_that_of_the_golden_file() -> None:
    card = dataset_card(FACTS, repo="ada/lectures", license="cc-by-4.0")
    assert card == (GOLDEN / "dataset_card.md").read_text(encoding="utf-8")


def test_the_readme_is_that_of_the_golden_file() -> None:
    assert snapshot_readme(FACTS) == (GOLDEN / "snapshot_readme.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("rows", "size"),
    [(1, "n<1K"), (1_000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**7, "n>1M")],
)
def test_the_card_names_the_size(rows: int, size: str) -> None:
    facts = replace(FACTS, splits=(SplitFacts("train", rows, 1, 1),))
    assert f"- {size}\n" in dataset_card(facts, repo="a/b", license="")


def test_a_card_without_a_licence_says_nothing_of_one() -> None:
    assert "license" not in dataset_card(FACTS, repo="a/b", license="")


def test_sums_are_written_as_sha256sum_writes_them() -> None:
    files = [
        FileSum("train/metadata.jsonl", 1, "b" * 64),
        FileSum("train/images/a.png", 2, "a" * 64),
    ]
    assert sums_text(files) == (
        f"{'a' * 64}  train/images/a.png\n{'b' * 64}  train/metadata.jsonl\n"
    )
    assert content_hash(files) == content_hash(reversed(files))


@pytest.mark.parametrize("path", ["", "/x", "../x", "a/../b", "a b", "a\nb", "a//b"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        FileSum(path, 1, "a" * 64)
