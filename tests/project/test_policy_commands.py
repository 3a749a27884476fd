"""iterdpo policy as a shell sees it."""

from pathlib import Path

import pytest

from app.database.postgres import running_url
from app.database.sessions import make_engine, make_sessions
from app.policies import loading
from app.policies.loading import Report
from tests.project.test_cli import Studio, studio
from tests.support.adapters import make_adapter

__all__ = ["studio"]


def says(studio: Studio, **said: object) -> None:
    """A worker of /m says something of itself."""
    url = running_url(studio.data)
    assert url is not None
    engine = make_engine(url, pool=1)
    with make_sessions(engine).begin() as db:
        report = Report(**{"engine": "openai", "base_model": "/m", **said})  # type: ignore[arg-type] # a test's own words
        loading.report(db, worker="gpu1:7", said=report)
    engine.dispose()


def test_an_adapter_from_its_directory_to_its_use(studio: Studio, tmp_path: Path) -> None:
    one = make_adapter(tmp_path / "one")
    added = studio.ok("policy", "add", "round-1", "--adapter", str(one))
    assert added == "round-1 is round 1 of /m.\n"
    assert studio.ok("policy", "add", "round-1", "--adapter", str(one)) == added
    done = studio.run("policy", "activate", "round-1")
    assert done.returncode == 0
    assert "no worker serves /m. The next worker that serves it loads the adapter." in done.stderr
    two = make_adapter(tmp_path / "two", weights=b"2")
    changed = studio.refused("policy", "add", "round-1", "--adapter", str(two))
    assert "already belongs to another adapter" in changed
    says(studio)
    late = studio.run(
        "policy", "add", "round-2", "--adapter", str(two), "--activate", "--wait", "0.2"
    )
    assert late.returncode == 1
    assert late.stdout == "round-2 is round 2 of /m.\n"
    assert "not all workers loaded it in time" in late.stderr
    listed = [line.split("\t") for line in studio.ok("policy", "list").splitlines()]
    assert listed[0] == ["name", "round", "state", "segments", "pairs", "model"]
    assert listed[1] == ["round-2", "2", "loading", "0", "0", "/m"]
    assert listed[2] == ["round-1", "1", "idle", "0", "0", "/m"]
    said = studio.ok("policy", "deactivate")
    assert said == "round-2 is no longer active. New regenerations use /m.\n"
    assert "No adapter is active" in studio.refused("policy", "deactivate")
    says(studio, engine="replay", base_model="")
    assert "no effect" in studio.refused("policy", "activate", "round-1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("activate", "nothing"), "There is no policy named nothing"),
        (("add", "x", "--adapter", "."), "holds no adapter"),
    ],
)
def test_what_cannot_be_is_said(studio: Studio, words: tuple[str, ...], said: str) -> None:
    assert said in studio.refused("policy", *words)
