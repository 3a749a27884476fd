"""Settings that cannot be used are refused at start, in plain words and without their secrets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import ROOT, Settings

SECRET = "sk-very-secret"


def refused(*words: str, cwd: Path = ROOT, status: int = 2, **environment: str) -> str:
    """What `iterdpo worker` says when it does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "worker", *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "ITERDPO_DATA": str(cwd)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.stderr


def test_a_model_server_needs_an_address(tmp_path: Path) -> None:
    said = refused(cwd=tmp_path, ITERDPO_ENGINE="openai", ITERDPO_ENGINE_KEY=SECRET)
    assert "ITERDPO_ENGINE=openai needs ITERDPO_ENGINE_URL" in said
    assert "Value error" not in said


def test_an_engine_that_there_is_not_is_named(tmp_path: Path) -> None:
    said = refused(cwd=tmp_path, ITERDPO_ENGINE="gpt")
    assert "ITERDPO_ENGINE: Input should be 'replay' or 'openai'" in said


@pytest.mark.parametrize(
    "url", ["gpu1:8000", "ftp://gpu1", f"http://me:{SECRET}@gpu1", "http://gpu1/v1?a=b", "http://"]
)
def test_an_address_is_one_that_can_be_asked_and_shown(url: str) -> None:
    with pytest.raises(ValidationError, match="like http://host:8000") as error:
        Settings(engine="openai", engine_url=url)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("url", ["http://gpu1:8000", "https://models.example/team/v1/"])
def test_an_address_of_a_server_is_taken(url: str) -> None:
    assert Settings(engine="openai", engine_url=url).engine_url == url


def test_the_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITERDPO_ENGINE_KEY", SECRET)
    settings = Settings()
    assert settings.engine_key is not None
    assert settings.engine_key.get_secret_value() == SECRET
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()}"
    monkeypatch.setenv("ITERDPO_ENGINE_KEY", f"{SECRET}\n")
    with pytest.raises(ValidationError, match="without spaces or line breaks") as error:
        Settings()
    assert SECRET not in str(error.value)


def test_options_of_vllm_need_a_model(tmp_path: Path) -> None:
    said = refused("--", "--max-model-len", "4096", cwd=tmp_path)
    assert "--vllm MODEL" in said


def test_without_vllm_installed_the_worker_says_how_to_install_it(tmp_path: Path) -> None:
    said = refused("--vllm", "some/model", cwd=tmp_path, status=1, PATH=str(tmp_path))
    assert "vLLM is not installed" in said
    assert "pip install vllm" in said
    assert list(tmp_path.iterdir()) == []
