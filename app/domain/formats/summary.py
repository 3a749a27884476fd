"""What an export holds, and what every README.md says of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.prompts import Renderer

# Every README.md of ours begins with it, so that a folder can be known as an export. There is no
# YAML header: it would make datasets read the folder as plain JSON.
README_MARK = "# IterDPO "


@dataclass(frozen=True, slots=True)
class Summary:
    """What an export holds, for the files that go with its rows.

    folder: its name, as commands say it. rows: how many, by file. mid + last = with_images +
    without_images: rows, where last ones end in end-of-turn. images: distinct files. accepted,
    rejected: judgements. left_out: how many by reason. unheld: how many a single file cannot hold,
    by file, though others do. version: that of this software.
    """

    folder: str
    project: str
    renderer: Renderer
    rows: Mapping[str, int]
    mid: int
    last: int
    with_images: int
    without_images: int
    images: int
    left_out: Mapping[str, int]
    version: str
    accepted: int = 0
    rejected: int = 0
    unheld: Mapping[str, int] = field(default_factory=dict)

    @property
    def text_only(self) -> bool:
        """There are rows, and none has an image."""
        return self.with_images == 0 and self.without_images > 0


# Of formats whose trainers mend nothing of an image.
NORMALISED = """\

Images are upright, opaque on white and of 8 bits, since the trainer takes pixels as a file has
them. `normalised_images` in `manifest.yaml` names the file of each original that was not.
"""
# Why a single file leaves a text out.
UNHELD = (
    "A text holds <image>, <video> or <audio>, which the trainers of this file take for the place "
    "of one."
)


def readme(summary: Summary, *, title: str, about: str, train: str, templated: bool = True) -> str:
    """README.md: what it is, how much of it, how to train with it, what was left out.

    templated: the rows are rendered with a chat template.
    """
    rows = [(file, count) for file, count in summary.rows.items()]
    rows += [
        ("mid-document (no end-of-turn after the segment)", summary.mid),
        ("last segment (ends in end-of-turn)", summary.last),
        ("with images", summary.with_images),
        ("without images", summary.without_images),
        ("distinct images", summary.images),
    ]
    if summary.accepted or summary.rejected:
        rows += [("accepted", summary.accepted), ("rejected", summary.rejected)]
    table = "".join(f"| {name} | {count} |\n" for name, count in rows)
    if templated:
        table += f"| chat template | {summary.renderer.label} |\n"
    text = f"{README_MARK}{title}\n\n| | |\n| --- | --- |\n| project | {summary.project} |\n{table}"
    text += f"\n{about}\n## Train\n\n{train}"
    if summary.left_out:
        text += "\n## Left out\n\n| reason | rows |\n| --- | --- |\n"
        text += "".join(f"| {why} | {count} |\n" for why, count in sorted(summary.left_out.items()))
    for file, count in sorted(summary.unheld.items()):
        text += f"\nLeft out of `{file}` alone: {count}. {UNHELD}\n"
    return f"{text}\nMade by IterDPO Studio {summary.version}.\n"


def quoted(text: str) -> str:
    """A JSON string, which is one in Python and in YAML too."""
    return json.dumps(text, ensure_ascii=False)
