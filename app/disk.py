"""Whether there is room on the disk."""

import shutil
from pathlib import Path

# A save needs a page of the table and a piece of the log; below this PostgreSQL is refused some.
LEAST_BYTES = 2 * 2**20


def is_full(place: Path) -> bool:
    """True when the file system of that directory has less than 2 MiB left."""
    return shutil.disk_usage(place).free < LEAST_BYTES
