"""What pages and the API show of imports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from app.models import Import, ImportState, Project, User
from app.refusals import NotFound

# So many of a project's imports are listed.
LISTED = 50


@dataclass(frozen=True, slots=True)
class ImportView:
    """An import as lists show it. created_by: None for nobody who is known any more. report: None
    until it is done; error: None unless it failed; errors: what is wrong in the file."""

    id: int
    project_id: int
    project: str
    source: str
    policy: str
    instruction: str
    state: ImportState
    samples: int
    images: int
    fraction: float
    seconds_left: float | None
    created_by: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    report: Mapping[str, Any] | None
    error: str | None
    error_count: int
    errors: Sequence[Mapping[str, Any]]

    @property
    def live(self) -> bool:
        """Whether it will still change by itself."""
        return self.state in (ImportState.WAITING, ImportState.RUNNING)

    @property
    def minutes_left(self) -> int | None:
        """As the time so far lets expect; None before anything is read and in the end."""
        if self.seconds_left is None or self.state is not ImportState.RUNNING:
            return None
        return max(1, round(self.seconds_left / 60))


def imports_of(db: Session, *, project_id: int) -> Sequence[ImportView]:
    """The project's imports, the newest first."""
    rows = db.execute(
        _VIEWS.where(Import.project_id == project_id).order_by(Import.id.desc()).limit(LISTED)
    )
    return [_view(row) for row in rows]


def import_view(db: Session, *, project_id: int, import_id: int) -> ImportView:
    """One import of a project. Raises NotFound."""
    row = db.execute(
        _VIEWS.where(Import.id == import_id, Import.project_id == project_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such import in this project.")
    return _view(row)


_VIEWS: Select[*tuple[Any, ...]] = (
    select(
        Import.id,
        Import.project_id,
        Project.name.label("project"),
        Import.source,
        Import.policy,
        Import.instruction,
        Import.state,
        Import.samples,
        Import.images,
        Import.fraction,
        Import.seconds_left,
        User.display_name.label("created_by"),
        Import.created_at,
        Import.started_at,
        Import.finished_at,
        Import.report,
        Import.error,
        Import.error_count,
        Import.errors,
    )
    .join(Project, Project.id == Import.project_id)
    .outerjoin(User, User.id == Import.created_by)
)


def _view(row: Row[Any]) -> ImportView:
    return ImportView(**row._mapping)
