"""The images of a row: paths into what is imported, or the bytes themselves."""

import hashlib
from collections.abc import Callable

from app.domain.messages import Message
from app.images.inspection import MAX_BYTES
from app.refusals import Invalid
from app.samples.importing.incoming import MAX_IMAGES, ImageSource, text_error
from app.samples.importing.records import Record
from app.samples.importing.rows.fields import FieldError, kind_of


def images_of(record: Record, field: str, value: object) -> tuple[ImageSource, ...]:
    """The images under a field: a list of paths or of objects with bytes. A field of another name
    than "images" may hold a single one. Raises FieldError."""
    if value is None and field != "images":
        return ()
    if field != "images" and isinstance(value, str | bytes | dict):
        return (_image(record, field, value),)
    if not isinstance(value, list):
        raise FieldError(field, "A list of paths is needed.")
    if len(value) > MAX_IMAGES:
        raise FieldError(field, Message("A sample has at most %(most)s images.", most=MAX_IMAGES))
    return tuple(_image(record, f"{field}[{at}]", image) for at, image in enumerate(value))


def _image(record: Record, field: str, value: object) -> ImageSource:
    # Data sets of Hugging Face hold an image as its bytes and the path that it once had.
    if isinstance(value, dict) and {"bytes", "path"} & value.keys():
        return _embedded(record, field, value.get("bytes"), value.get("path"))
    if isinstance(value, bytes):
        return _embedded(record, field, value, None)
    if not isinstance(value, str):
        raise FieldError(
            field, Message("A path is needed here, not %(kind)s.", kind=kind_of(value))
        )
    return _file(record, field, value)


def _embedded(record: Record, field: str, data: object, path: object) -> ImageSource:
    if isinstance(data, bytes) and data:
        digest = hashlib.sha256(data).hexdigest()
        return ImageSource(digest, record.where, field, _bounded(data), held=len(data))
    if path:
        raise FieldError(
            field,
            Message(
                "The image has no bytes, only the path %(path)s, and a path in a data set is never "
                "opened. Save the data set with its images in it.",
                path=repr(str(path)[:200]),
            ),
        )
    raise FieldError(field, "The image has no bytes.")


def _bounded(data: bytes) -> Callable[[], bytes]:
    def read() -> bytes:
        if len(data) > MAX_BYTES:
            raise Invalid(
                Message("The image has more than %(limit)s MiB.", limit=MAX_BYTES // 2**20)
            )
        return data

    return read


def _file(record: Record, field: str, path: str) -> ImageSource:
    tree = record.images.tree
    if tree is None:
        raise FieldError(
            field, "The images did not come with the file: put both into one zip archive."
        )
    if message := text_error(path, limit=4096):
        raise FieldError(field, message)
    name = path
    # Joining would let an absolute path or an address pass for a relative one.
    if not path.startswith("/") and "://" not in path and str(record.images.folder) != ".":
        name = f"{record.images.folder}/{path}"
    return ImageSource(name, record.where, field, lambda: tree.read(name))
