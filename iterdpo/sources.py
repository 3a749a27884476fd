"""Opening what a configuration names as its data: a pull over REST, or an exported directory."""

from collections.abc import Callable
from pathlib import Path

from iterdpo import duplicates
from iterdpo.config import Config, token_of
from iterdpo.images import ImageCache
from iterdpo.pulling import Pulled, finished, pull
from iterdpo.rows import Source, directory_source, pulled_source
from iterdpo.studio import Studio

Say = Callable[[str], None]


def open_source(config: Config, place: Path, *, again: bool, say: Say) -> Source:
    """The rows and images. place: where a pull is kept; again: use what an earlier one brought,
    since a run that goes on must see the same pairs. Raises TrainingRefusal."""
    data = config.data
    if data.directory is not None:
        return directory_source(data.directory)
    assert data.url is not None  # noqa: S101 - Data refuses it
    assert data.project is not None  # noqa: S101 - Data refuses it
    kept = sorted(place.glob("*.jsonl")) if again else []
    with Studio(data.url, token_of(data.token_env)) as studio:
        if kept:
            pulled = finished(kept[0])
        else:
            pulled = _pull_anew(studio, data.project, place, config)
            say(f"Pulled {pulled.pairs} pairs of {data.project} from {studio.url}.")
        cache = ImageCache(place / "images")
        studio.images(pulled.images(), cache)
    return pulled_source(
        pulled,
        f"{data.url} {data.project}",
        cache.path,
        duplicates=duplicates.allowed(data.filters),
    )


def _pull_anew(studio: Studio, project: str, place: Path, config: Config) -> Pulled:
    pulled = pull(studio, project, place, filters=config.data.filters)
    for other in place.glob("*.jsonl"):
        # With other filters, from before the configuration was changed.
        if other != pulled.path:
            other.unlink()
    return pulled
