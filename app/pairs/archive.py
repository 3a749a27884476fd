"""A folder as a zip file, made while it is sent."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 256 * 1024
# What is compressed already is stored as it is.
_STORED = frozenset({".png", ".jpg", ".webp", ".gif"})


class _Outlet:
    """A file that can only be written; what was written is taken away piece by piece."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        """What was written since the last call."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        return data


def zipped(folder: Path) -> Iterator[bytes]:
    """The folder, under its own name, as the bytes of a zip file; memory stays flat."""
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:  # type: ignore[call-overload] # a file that cannot seek is allowed
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
            entry = zipfile.ZipInfo.from_file(path, name)
            stored = path.suffix in _STORED
            entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(entry, "w") as target:
                while block := source.read(_BLOCK):
                    target.write(block)
                    if data := outlet.take():
                        yield data
    yield outlet.take()
