"""The client for trainers: pairs as they come, or as a dataset with their images.

    from trainer.client import iter_pairs, load_pairs

    for pair in iter_pairs("https://studio.example", token, "lectures", on_policy=True):
        ...
    dataset = load_pairs("https://studio.example", token, "lectures")

Filters are the query parameters of GET /api/v1/pairs, by their names.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.images import ImageCache
from trainer.pulling import pull
from trainer.studio import PAGE, Filter, Studio, query_of

if TYPE_CHECKING:
    import datasets


def iter_pairs(
    url: str, token: str, project: str, *, after: int = 0, **filters: Filter
) -> Generator[dict[str, Any], None, None]:
    """The project's pairs as they come: the fields of GET /api/v1/pairs. Needs no `datasets`.

    Follow along from where you were with the `cursor` of the last pair as `after`. An image's
    SHA-256 is the last part of its address; Studio.image fetches it.
    """
    # Here already: a name such as `page` would be taken for the request's own below.
    query_of(filters)
    with Studio(url, token) as studio:
        yield from studio.pairs(project, after=after, page=PAGE, **filters)


def load_pairs(
    url: str, token: str, project: str, *, cache: Path | str | None = None, **filters: Filter
) -> "datasets.Dataset":
    """All pairs of the project as a dataset; `images` are decoded when a row is looked at.

    cache: where pairs and images are kept, default_cache() if None. A pull that was killed goes
    on where it stopped, and images are fetched once.
    """
    # Here, so that the streaming form works without `datasets`.
    from trainer.tables import raw_table

    place = Path(cache) if cache is not None else default_cache()
    images = ImageCache(place / "images")
    with Studio(url, token) as studio:
        pulled = pull(studio, project, place / "pairs", filters=filters)
        studio.images(pulled.images(), images)
    return raw_table(pulled, images.path, place / "tables")


def default_cache() -> Path:
    """$XDG_CACHE_HOME/iterdpo, or ~/.cache/iterdpo."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "iterdpo"
