"""The golden files of the formats: what an export of export_items.py holds, byte for byte.

After a deliberate change of a format, look at what this writes, and commit it:

    .venv/bin/python -m tests.domain.golden_files --write
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from app.domain.formats import FORMATS, Format, Summary, Target
from app.domain.formats.registry import Item
from app.domain.prompts import Renderer, Template
from tests.domain.export_items import JUDGEMENTS, OUTPUTS, PAIRS

PLACE = Path(__file__).parent / "golden"


def expected() -> dict[str, bytes]:
    """Every golden file by its path below PLACE: FORMAT/FILE, and for the formats that a second
    template changes, FORMAT.TEMPLATE/FILE."""
    files: dict[str, bytes] = {}
    for name, format in FORMATS.items():
        first = export(format, Template.QWEN2_5_VL)
        second = export(format, Template.QWEN3_VL)
        files |= {f"{name}/{file}": content for file, content in first.items()}
        files |= {
            f"{name}.{Template.QWEN3_VL.label}/{file}": content
            for file, content in second.items()
            if content != first[file]
        }
    return files


def export(format: Format, renderer: Renderer, folder: str | None = None) -> dict[str, bytes]:
    """The rows and the text files of an export of all the items."""
    rows = lines(format, Target(renderer))
    # Of a table the rows that go into it, as JSON.
    files = {f"{file}.rows" if "parquet" in file else file: b"".join(rows[file]) for file in rows}
    texts = format.files(summary(format, renderer, rows, folder or format.name))
    return files | {file: text.encode() for file, text in texts.items()}


def lines(format: Format, target: Target) -> dict[str, list[bytes]]:
    """The rows by file."""
    return (
        _lines(format, PAIRS, target)
        | _lines(format, JUDGEMENTS, target)
        | _lines(format, OUTPUTS, target)
    )


def _lines(format: Format, items: Sequence[Item], target: Target) -> dict[str, list[bytes]]:
    return {
        stream.file: [
            orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
            for item in items
            for row in stream.rows(item, target)
        ]
        for stream in format.streams_of(type(items[0]))
    }


def summary(
    format: Format, renderer: Renderer, rows: Mapping[str, list[bytes]], folder: str
) -> Summary:
    """Of an export of all the items."""
    ends = [item.ends_output for item in (PAIRS if format.name != "kto" else JUDGEMENTS)]
    return Summary(
        folder=folder,
        project="lectures",
        renderer=renderer,
        rows={file: len(found) for file, found in rows.items()},
        mid=ends.count(False),
        last=ends.count(True),
        with_images=len(ends) - 1,
        without_images=1,
        images=3,
        left_out={"special string of the models in the prefix": 2},
        version="0.1.0",
        accepted=4 if format.name == "kto" else 0,
        rejected=2 if format.name == "kto" else 0,
    )


def main() -> None:
    """Write the golden files anew, if the flag says so."""
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    wanted = expected()
    for path in PLACE.rglob("*"):
        if path.is_file() and path.relative_to(PLACE).as_posix() not in wanted:
            path.unlink()
    for name, content in wanted.items():
        path = PLACE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
