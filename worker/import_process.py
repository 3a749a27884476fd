"""python -m worker.import_process ID: does one import and ends (import_supervisor.py)."""

import sys

from sqlalchemy.orm import Session

from app.database.sessions import Sessions
from app.images.store import ImageStore
from app.samples.imports import attempts
from app.samples.imports.running import run
from app.samples.imports.upload_store import UploadStore
from app.settings import Settings
from worker.leased_process import main


def _import(settings: Settings, sessions: Sessions, number: int, name: str) -> None:
    run(
        sessions,
        import_id=number,
        worker=name,
        store=ImageStore(settings.images, max_megapixels=settings.max_image_megapixels),
        uploads=UploadStore(settings.uploads),
        lease_s=settings.lease_s,
    )


def _give_back(db: Session, number: int, name: str) -> None:
    attempts.give_back(db, import_id=number, worker=name)


if __name__ == "__main__":
    main(int(sys.argv[1]), _import, _give_back)
