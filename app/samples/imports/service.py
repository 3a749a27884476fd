"""Asking for an import: what can be said at once is said, the rest is a worker's."""

from sqlalchemy.orm import Session

from app.models import Import, Project
from app.refusals import Conflict, Invalid
from app.samples.importing.incoming import id_error, text_error
from app.samples.importing.sources import INSTRUCTION
from app.samples.imports import attempts
from app.samples.imports.upload_store import UploadStore
from app.samples.uploads import Upload


def request_import(
    db: Session, *, uploads: UploadStore, project: Project, upload: Upload, actor_id: int
) -> Import:
    """A new import, which a worker does once this transaction is committed.

    The files of the upload move into the store. Raises Conflict for an archived project, Invalid
    for a form without a file or with a name or an instruction that cannot be kept.
    """
    if upload.file is None:
        raise Invalid("Choose a file.", "file")
    policy, instruction = upload.policy or "imported", upload.instruction or INSTRUCTION
    if id_error(policy):
        raise Invalid("The name of the model needs 1 to 200 printable characters.", "policy")
    if message := text_error(instruction):
        raise Invalid(message, "instruction")
    if project.archived_at is not None:
        raise Conflict("This project is archived. Take it back into the queues, then import.")
    name = uploads.new_name()
    made = Import(
        project_id=project.id,
        created_by=actor_id,
        source=upload.name,
        upload=name,
        policy=policy,
        instruction=instruction,
        columns=dict(upload.columns),
    )
    db.add(made)
    db.flush()
    attempts.defer(db, made.id)
    # Last: what is refused until here leaves no file.
    uploads.take(name, upload.file, upload.output)
    return made
