"""A row as its file has it, before anybody knows what its columns mean."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from app.samples.importing.incoming import RowError, Where
from app.samples.importing.trees import FileTree


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Where the paths of images in a file are looked up.

    tree: None when nothing came along with the file. folder: of the file in the tree, which its
    paths are relative to.
    """

    tree: FileTree | None
    folder: PurePosixPath


@dataclass(frozen=True, slots=True)
class Record:
    """One row. progress: how much of the source is read with it, 0 to 1."""

    where: Where
    values: Mapping[str, Any]
    images: ImageFiles
    progress: float

    @property
    def default_id(self) -> str:
        """What a row without an id is called."""
        return f"{PurePosixPath(self.where.file).with_suffix('')}:{self.where.number}"


Records = Iterator[Record | RowError]
