"""All tables. Segments form the tree of each sample; everything else points into it.

The invariants of docs/architecture.md that a database can hold are constraints here; triggers
(immutable segments, different texts, append-only audit) stand in migrations/.
"""

from app.models.accounts import (
    ApiToken,
    AuditEvent,
    LoginDevice,
    LoginFailure,
    LoginSession,
    Role,
    User,
)
from app.models.imports import Import, ImportState
from app.models.samples import Image, Membership, Policy, Project, Sample, SampleImage, Segment
from app.models.schema import Base, now, table_of
from app.models.snapshots import Snapshot, SnapshotState
from app.models.work import (
    BEING_WRITTEN,
    UNFINISHED,
    Action,
    Chunk,
    Correction,
    Draft,
    DraftVerdict,
    Regeneration,
    Remark,
    Revision,
    RunState,
    UnsavedEdit,
)
from app.models.workers import Worker

__all__ = [
    "BEING_WRITTEN",
    "UNFINISHED",
    "Action",
    "ApiToken",
    "AuditEvent",
    "Base",
    "Chunk",
    "Correction",
    "Draft",
    "DraftVerdict",
    "Image",
    "Import",
    "ImportState",
    "LoginDevice",
    "LoginFailure",
    "LoginSession",
    "Membership",
    "Policy",
    "Project",
    "Regeneration",
    "Remark",
    "Revision",
    "Role",
    "RunState",
    "Sample",
    "SampleImage",
    "Segment",
    "Snapshot",
    "SnapshotState",
    "UnsavedEdit",
    "User",
    "Worker",
    "now",
    "table_of",
]
