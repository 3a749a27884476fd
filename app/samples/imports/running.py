"""Running an import: its file is read, and its samples and its end are one transaction."""

import psycopg
import structlog
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from app.database.heartbeat import Heartbeat, LostError
from app.database.sessions import Sessions
from app.domain.messages import Message
from app.images.store import ImageStore
from app.models import Project
from app.refusals import Refusal
from app.samples.importing import (
    ImportOptions,
    ImportRefused,
    ImportReport,
    ImportRunningError,
    Progress,
    import_path,
)
from app.samples.imports import attempts
from app.samples.imports.attempts import Work
from app.samples.imports.upload_store import UploadStore

# An import by the command line, or one that is being rolled back, is over some time later.
_PUT_OFF_S = 5.0


def run(
    sessions: Sessions,
    *,
    import_id: int,
    worker: str,
    store: ImageStore,
    uploads: UploadStore,
    lease_s: float,
) -> bool:
    """Take a waiting import and do it. False: it was not to be had, was taken away or failed.

    Why it failed its row says. Its upload is removed when it has ended. Raises SQLAlchemyError when
    the database is gone: the lease runs out, and another process begins it afresh.
    """
    with sessions.begin() as db:
        work = attempts.start(db, import_id=import_id, worker=worker, lease_s=lease_s)
    if work is None:
        return False
    log = structlog.get_logger("imports").bind(imported=import_id, attempt=work.attempt)
    log.info("importing", source=work.source)
    try:
        with _heartbeat(sessions, work, lease_s) as heartbeat, sessions.begin() as db:
            report = _import(db, work, heartbeat, store, uploads)
            if not attempts.finish(db, work, report):
                raise LostError
    except LostError:
        log.warning("lost")
        return False
    except ImportRunningError:
        _put_off(sessions, work)
        return False
    except OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        _put_off(sessions, work)
        return False
    except SQLAlchemyError:
        raise
    except ImportRefused as refused:
        with sessions.begin() as db:
            attempts.refuse(db, work, refused)
    except Refusal as refusal:
        _fail(sessions, work, refusal.message)
    except OSError as error:
        _fail(
            sessions,
            work,
            Message(
                "The files cannot be read or written: %(value)s.", value=error.strerror or error
            ),
        )
    except Exception as error:
        log.exception("import crashed")
        kind = type(error).__name__
        _fail(
            sessions,
            work,
            Message("The import crashed (%(kind)s); see the worker's log.", kind=kind),
        )
    else:
        uploads.drop(work.upload)
        log.info("imported", added=report.added, unchanged=report.unchanged)
        return True
    uploads.drop(work.upload)
    log.info("failed")
    return False


def _heartbeat(sessions: Sessions, work: Work, lease_s: float) -> Heartbeat[Progress]:
    return Heartbeat(
        sessions,
        lambda db, progress: attempts.advance(db, work, progress, lease_s=lease_s),
        Progress(0, 0, 0.0),
        imported=work.import_id,
        attempt=work.attempt,
    )


def _import(
    db: Session,
    work: Work,
    heartbeat: Heartbeat[Progress],
    store: ImageStore,
    uploads: UploadStore,
) -> ImportReport:
    files = uploads.files(work.upload)
    return import_path(
        db,
        project=db.get_one(Project, work.project_id),
        path=files.file,
        store=store,
        actor_id=work.created_by,
        options=ImportOptions(
            policy=work.policy,
            instruction=work.instruction,
            output=files.output,
            columns=work.columns,
            name=work.source,
            alone=True,
        ),
        progress=heartbeat.at,
    )


def _put_off(sessions: Sessions, work: Work) -> None:
    with sessions.begin() as db:
        attempts.put_off(db, work, delay_s=_PUT_OFF_S)


def _fail(sessions: Sessions, work: Work, error: str) -> None:
    with sessions.begin() as db:
        attempts.fail(db, work, error)
