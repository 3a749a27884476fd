"""The client for trainers: pairs as they come, or as a dataset with their images.

    from iterdpo import load_pairs, stream_pairs

    for pair in stream_pairs("https://studio.example", token, "lectures", on_policy=True):
        ...
    dataset = load_pairs("https://studio.example", token, "lectures", format="trl")

Filters are the query parameters of GET /api/v1/pairs, by their names.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iterdpo.duplicates import allowed
from iterdpo.images import ImageCache
from iterdpo.pulling import pull
from iterdpo.refusals import StudioRefusal
from iterdpo.studio import PAGE, Filter, Studio, query_of

if TYPE_CHECKING:
    import datasets


def stream_pairs(
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
    url: str,
    token: str,
    project: str,
    *,
    format: str = "raw",
    cache: Path | str | None = None,
    **filters: Filter,
) -> "datasets.Dataset":
    """All pairs of the project as a dataset; `images` are decoded when a row is looked at.

    format: "raw" (as stored), or "trl": rendered with the chat template of a model (`template`,
    qwen2.5-vl unless given), as an unmodified DPOTrainer reads it. Of pairs that teach the same the
    first one is there, unless `allow` names the check "duplicate". cache: where pairs and images
    are kept, default_cache() if None. A pull that was killed goes on where it stopped; images are
    fetched once and checked against their SHA-256. Raises StudioRefusal.
    """
    if format not in ("raw", "trl"):
        raise StudioRefusal(f"A dataset of pairs is raw or trl, not {format}.")
    # Here, so that the streaming form works without `datasets`.
    from iterdpo.tables import RAW, RENDERED, pulled_table

    place = Path(cache) if cache is not None else default_cache()
    images = ImageCache(place / "images")
    with Studio(url, token) as studio:
        pulled = pull(studio, project, place / "pairs", filters=filters, format=format)
        studio.images(pulled.images(), images)
    return pulled_table(
        pulled,
        RAW if format == "raw" else RENDERED,
        images.path,
        place / "tables",
        duplicates=allowed(filters),
    )


def default_cache() -> Path:
    """$XDG_CACHE_HOME/iterdpo, or ~/.cache/iterdpo."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "iterdpo"
