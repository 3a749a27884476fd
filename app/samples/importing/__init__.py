"""Import: files of many kinds become samples with their segment tree, all of them or none."""

from app.samples.importing.faults import ImportRefused
from app.samples.importing.incoming import RowError
from app.samples.importing.service import (
    ImportReport,
    ImportRunningError,
    Progress,
    import_path,
    import_samples,
)
from app.samples.importing.sources import INSTRUCTION, ImportOptions

__all__ = [
    "INSTRUCTION",
    "ImportOptions",
    "ImportRefused",
    "ImportReport",
    "ImportRunningError",
    "Progress",
    "RowError",
    "import_path",
    "import_samples",
]
