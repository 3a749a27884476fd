"""Takes an import's files from a form: admins only, measured while they arrive, kept on disk."""

import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from typing import Annotated, BinaryIO

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.access import project_named, project_of
from app.domain.messages import Message
from app.refusals import Forbidden, Invalid, LoginRequired
from app.samples.importing.mapping import MAPPED
from app.security import Actor
from app.web.dependencies import Id, briefly, credentials_of, optional_user, token_user


@dataclass(frozen=True, slots=True)
class Upload:
    """What the form of the import page held.

    file: None when none was chosen. name: what the user calls it. output: the text file of a deck.
    kept: the name of an upload that was looked at before. look: only a look at it is wanted.
    columns: by field, as they were chosen.
    """

    file: Path | None
    name: str
    output: Path | None
    instruction: str
    policy: str
    kept: str = ""
    look: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)


async def uploaded(request: Request, project_id: Id) -> AsyncIterator[Upload]:
    """The files of the form as files on disk, gone when the request ends.

    FastAPI would read the whole body before it asks who sends it; this reads nothing before the
    admin is known, and never more than the setting allows. While the body arrives no slot of the
    database is held: a route asks for this first, and for its session and its admin behind it,
    whose rights may have ended meanwhile. Raises Invalid.
    """
    async with briefly(request) as db:
        await run_in_threadpool(_admit_admin, request, db, project_id)
    async with _arriving(request) as (folder, limit):
        form = await _form(request, limit)
        try:
            yield await run_in_threadpool(_kept, form, folder)
        finally:
            await form.close()


Uploaded = Annotated[Upload, Depends(uploaded, scope="function")]


async def sent(request: Request, project_name: str) -> AsyncIterator[Upload]:
    """The same over the API: a form with the file, or the file alone as the body.

    The name of a body is the address's `name`. Raises Forbidden for all but admins, Invalid.
    """
    credentials = await credentials_of(request)
    async with briefly(request) as db:
        await run_in_threadpool(_admit_token, request, db, credentials, project_name)
    async with _arriving(request) as (folder, limit):
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            form = await _form(request, limit)
            try:
                yield await run_in_threadpool(_kept, form, folder)
            finally:
                await form.close()
        else:
            yield await _body(request, limit, folder / "upload")


Sent = Annotated[Upload, Depends(sent, scope="function")]


def _admit_admin(request: Request, db: Session, project_id: int) -> None:
    actor = optional_user(request, db)
    if actor is None:
        raise LoginRequired
    _refuse_others(actor)
    project_of(db, actor, project_id)


def _admit_token(
    request: Request,
    db: Session,
    credentials: HTTPAuthorizationCredentials | None,
    project_name: str,
) -> None:
    actor = token_user("imports:write")(request, db, credentials)
    _refuse_others(actor)
    project_named(db, actor, project_name)


def _refuse_others(actor: Actor) -> None:
    if not actor.is_admin:
        raise Forbidden("Only an admin can do this.")


@asynccontextmanager
async def _arriving(request: Request) -> AsyncIterator[tuple[Path, int]]:
    """A folder for what arrives, gone afterwards, and how many bytes may arrive."""
    settings = request.app.state.settings
    settings.uploads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.uploads) as own:
        yield Path(own), settings.max_upload_mb * 2**20


async def _body(request: Request, limit: int, path: Path) -> Upload:
    total = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            total += len(chunk)
            if total > limit:
                raise _too_large(limit)
            await run_in_threadpool(file.write, chunk)
    name = _own_name(request.query_params.get("name", ""))
    return Upload(file=path if total else None, name=name, output=None, instruction="", policy="")


async def _form(request: Request, limit: int) -> FormData:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Invalid("Choose a file to import.", "file")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)

    async def measured() -> AsyncGenerator[bytes, None]:
        total = 0
        async for chunk in request.stream():
            total += len(chunk)
            if total > limit:
                # A kind of exception for which the parser closes the files it has begun.
                raise _TooLargeError("too large")
            yield chunk

    try:
        return await MultiPartParser(
            request.headers, measured(), max_files=2, max_fields=20
        ).parse()
    except _TooLargeError:
        raise _too_large(limit) from None
    except MultiPartException as error:
        raise Invalid(
            Message("The form cannot be read: %(reason)s.", reason=error.message)
        ) from None


class _TooLargeError(MultiPartException):
    pass


def _too_large(limit: int) -> Invalid:
    return Invalid(
        Message(
            "The upload has more than %(limit)s MiB (setting ITERDPO_MAX_UPLOAD_MB). "
            "Larger files are imported on the server: iterdpo import PROJECT PATH.",
            limit=limit // 2**20,
        ),
        "file",
    )


def _kept(form: FormData, folder: Path) -> Upload:
    file, output = form.get("file"), form.get("output")
    return Upload(
        file=_file(file, folder / "upload"),
        name=_name(file),
        output=_file(output, folder / "output"),
        instruction=_text(form, "instruction"),
        policy=_text(form, "policy"),
        kept=_text(form, "kept"),
        look=_text(form, "step") == "look",
        columns={name: column for name in MAPPED if (column := _text(form, f"column-{name}"))},
    )


def _file(sent: object, path: Path) -> Path | None:
    # A browser sends a file field that was left empty as a file without a name.
    if not isinstance(sent, UploadFile) or not sent.filename:
        return None
    with path.open("wb") as file:
        source: BinaryIO = sent.file
        source.seek(0)
        copyfileobj(source, file, 2**20)
    return path


def _name(sent: object) -> str:
    """The file's own name, to be shown and to make ids from; it is never a path on this machine."""
    if not isinstance(sent, UploadFile):
        return ""
    return _own_name(sent.filename or "")


def _own_name(filename: str) -> str:
    last = PurePosixPath(filename.replace("\\", "/")).name
    return "".join(character for character in last if character.isprintable())[:150] or "upload"


def _text(form: FormData, field: str) -> str:
    value = form.get(field, "")
    return value.strip() if isinstance(value, str) else ""
