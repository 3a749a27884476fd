"""Commands name the address of the studio that runs, and the account that is meant."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import address
from app.settings import Settings
from tests.support.commands import run_command
from tests.support.studio import Studio, studio


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio whose app is not on the port that commands would take it to be on."""
    with studio(tmp_path_factory.mktemp("house") / "data") as made:
        yield made


def command(house: Studio, *words: str, **settings: str) -> tuple[int, str, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "ITERDPO_DATA": str(house.data),
        **settings,
    }
    done = run_command(words, environment)
    return done.returncode, done.stdout, done.stderr


def test_an_invitation_leads_to_the_app_that_runs(house: Studio) -> None:
    house.start("app")
    _, said, _ = command(house, "user", "add", "ada", "--role", "admin")
    assert f"http://localhost:{house.port}/invitation/" in said
    _, said, _ = command(
        house, "user", "invite", "ada", ITERDPO_PUBLIC_URL="https://studio.example"
    )
    assert "https://studio.example/invitation/" in said

    # However it ends, what it wrote is not believed any longer.
    house.kill("app", signal.SIGKILL)
    _, said, _ = command(house, "user", "invite", "ada")
    assert "http://localhost:8000/invitation/" in said

    house.start("app", ITERDPO_PUBLIC_URL="https://team.example/")
    _, said, _ = command(house, "user", "invite", "ada")
    assert "https://team.example/invitation/" in said
    house.kill("app", signal.SIGTERM)
    _, said, _ = command(house, "user", "invite", "ada")
    assert "http://localhost:8000/invitation/" in said


def test_of_several_apps_the_last_to_start_is_named(tmp_path: Path) -> None:
    first = Settings(data=tmp_path, port=8101)
    asked = Settings(data=tmp_path)
    with address.announced(first):
        second = Settings(data=tmp_path, port=8102, host="192.0.2.1")
        with address.announced(second):
            os.utime(tmp_path / "run" / "app-8101.address", (1, 1))
            assert address.of_studio(asked) == "http://192.0.2.1:8102"
        assert address.of_studio(asked) == "http://localhost:8101"
    assert address.of_studio(asked) == "http://localhost:8000"


def test_an_account_that_does_not_exist_is_named(house: Studio) -> None:
    status, _, said = command(house, "project", "add", "lectures", "--member", "anna")
    assert (status, said) == (1, "Error: There is no account named anna. Add the person first.\n")
    command(house, "user", "add", "lin")
    command(house, "user", "disable", "lin")
    status, _, said = command(house, "project", "add", "lectures", "--member", "lin")
    assert (status, said) == (1, "Error: The account lin is disabled.\n")
