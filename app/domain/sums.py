"""The content hash of a snapshot: anybody can make it again with sha256sum.

SHA256SUMS names every file of rows and images with its SHA-256, in the order of the names; the
content hash is the SHA-256 of SHA256SUMS. So it covers what a trainer reads, row by row and in
which split, and nothing else: no name of the snapshot, no time, no README.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

SUMS = "SHA256SUMS"
_SAFE = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


@dataclass(frozen=True, slots=True, order=True)
class FileSum:
    """A file of a snapshot. path: relative, with slashes. Raises ValueError for any other."""

    path: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        if not _SAFE.fullmatch(self.path) or ".." in self.path.split("/"):
            raise ValueError(f"{self.path!r} is no path of a file in a snapshot.")


def sums_text(files: Iterable[FileSum]) -> str:
    """The text of SHA256SUMS, as sha256sum writes it."""
    return "".join(f"{file.sha256}  {file.path}\n" for file in sorted(files))


def content_hash(files: Iterable[FileSum]) -> str:
    """The SHA-256 of SHA256SUMS, in hex."""
    return hashlib.sha256(sums_text(files).encode()).hexdigest()
