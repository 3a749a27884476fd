"""What goes with a snapshot for people: its README, and its card at a dataset hub."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.domain.sums import SUMS

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """How much a split holds."""

    name: str
    rows: int
    samples: int
    images: int


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """A snapshot as its documents tell of it.

    filter: what was asked for, as names and values. left_out: reason and number of pairs.
    languages: of the samples, as codes.
    """

    name: str
    project: str
    format: str
    template: str
    content_hash: str
    filter: Sequence[tuple[str, str]]
    seed: int
    validation: float
    test: float
    separate_images: bool
    splits: Sequence[SplitFacts]
    left_out: Mapping[str, int]
    languages: Sequence[str] = ()

    @property
    def rows(self) -> int:
        """Rows of all splits."""
        return sum(split.rows for split in self.splits)


def snapshot_readme(facts: SnapshotFacts) -> str:
    """README.md at the top of a snapshot. It begins without a YAML header and names no time: the
    same filter on the same data gives the same file."""
    return f"# {facts.name}\n\n{_about(facts)}\n{_check(facts)}"


def dataset_card(facts: SnapshotFacts, *, repo: str, license: str) -> str:
    """README.md of a dataset repository that holds the snapshot.

    The header names the files of each split, so that datasets finds rows and images without a
    script (Hugging Face Hub, "Manual configuration"). license: "" says nothing of one.
    """
    header = [f"pretty_name: {_quoted(facts.name)}"]
    if license:
        header.append(f"license: {_quoted(license)}")
    if facts.languages:
        header += ["language:", *(f"- {_quoted(code)}" for code in facts.languages)]
    header += [
        "tags:",
        "- preference",
        "- dpo",
        "- iterdpo",
        "- vision-language",
        "size_categories:",
        f"- {_size(facts.rows)}",
        "configs:",
        "- config_name: default",
        "  data_files:",
    ]
    for split in facts.splits:
        header += [f"  - split: {split.name}", f"    path: {split.name}/**"]
    lines = "\n".join(header)
    load = f"""## Load

```python
from datasets import load_dataset

pairs = load_dataset({_quoted(repo)})
```

How to train with it stands in `{facts.splits[0].name}/README.md`.
"""
    return f"---\n{lines}\n---\n# {facts.name}\n\n{_about(facts)}\n{load}\n{_check(facts)}"


def _about(facts: SnapshotFacts) -> str:
    rows = "".join(
        f"| {split.name} | {split.rows} | {split.samples} | {split.images} |\n"
        for split in facts.splits
    )
    asked = "".join(f"| {name} | {_cell(value)} |\n" for name, value in facts.filter)
    text = f"""Preference pairs of the project {facts.project}: people corrected what a \
vision-language model had
written, segment by segment; `chosen` is theirs, `rejected` the model's, and both continue the same
text. Each split is an export in the format `{facts.format}` with the chat template \
`{facts.template}`.

| split | rows | samples | images |
| --- | --- | --- | --- |
{rows}
## How it was made

| | |
| --- | --- |
{asked}| seed | {facts.seed} |
| validation | {facts.validation:g} |
| test | {facts.test:g} |
| no image in two splits | {"yes" if facts.separate_images else "no"} |

A sample is in one split, decided by a hash of the seed and its id: it stays there when others are
added.
"""
    if facts.left_out:
        text += "\n## Left out by the quality gate\n\n| check | pairs |\n| --- | --- |\n"
        text += "".join(f"| {check} | {count} |\n" for check, count in facts.left_out.items())
    return text


def _check(facts: SnapshotFacts) -> str:
    return f"""## Check it

```sh
sha256sum --check --quiet {SUMS}
sha256sum {SUMS}    # {facts.content_hash}
```

The second is the content hash: of rows, images and splits, and of nothing else. The same filter on
the same data gives the same hash.
"""


def _size(rows: int) -> str:
    return next((name for most, name in _SIZES if rows < most), "n>1M")


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")


def _quoted(text: str) -> str:
    # A JSON string is one in YAML and in Python too.
    return json.dumps(text, ensure_ascii=False)
