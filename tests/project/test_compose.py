"""docker-compose.yml: what it starts, what it never opens, and that docker takes it where it is."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import ROOT, Settings
from worker.vllm import Launch

FILE = ROOT / "docker-compose.yml"
EXAMPLE = (ROOT / ".env.example").read_text()
# Inside a container; what is reachable is what has a port or shares a network.
EVERYWHERE = "0.0.0.0"  # noqa: S104
PROFILES = ("gpu", "replay")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services, anchors and merges resolved."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


def variables() -> dict[str, str]:
    """The names of .env.example with their values."""
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))


@pytest.mark.parametrize("profile", PROFILES)
def test_docker_compose_takes_it_where_it_is_installed(profile: str, tmp_path: Path) -> None:
    """Elsewhere the other tests here are what there is: no schema of the format is needed twice."""
    command = compose()
    if command is None:
        assert set(yaml.safe_load(FILE.read_text())) == {
            "x-studio",
            "x-worker",
            "services",
            "networks",
            "volumes",
        }
        return
    environment = tmp_path / "env"
    environment.write_text(EXAMPLE)
    words = [*command, "--env-file", str(environment), "--profile", profile, "config"]
    without = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert without.returncode != 0
    assert "POSTGRES_PASSWORD" in without.stderr
    environment.write_text(EXAMPLE.replace("POSTGRES_PASSWORD=", "POSTGRES_PASSWORD=abc"))
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    url = config["services"]["app"]["environment"]["DATABASE_URL"]
    assert url == "postgresql://iterdpo:abc@postgres/iterdpo"


def compose() -> list[str] | None:
    """The command of Docker Compose on this machine, as a plugin or alone."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is not None:
            said = subprocess.run([*command, "version"], capture_output=True, check=False)
            if said.returncode == 0:
                return command
    return None


def test_every_service_is_pinned_and_comes_back(services: dict[str, Any]) -> None:
    assert set(services) == {"postgres", "migrate", "app", "worker", "worker-replay", "vllm"}
    for name, service in services.items():
        tag = service["image"].partition(":")[2]
        assert "build" in service or re.match(r"v?\d+\.\d+", tag), name
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped"), name


def test_only_the_app_has_a_port_and_only_the_worker_reaches_the_model(
    services: dict[str, Any],
) -> None:
    assert [name for name, one in services.items() if "ports" in one] == ["app"]
    assert services["app"]["ports"] == ["${LISTEN:-127.0.0.1:8000}:8000"]
    on_model = {name for name, one in services.items() if "model" in one["networks"]}
    assert on_model == {"worker", "vllm"}
    assert services["vllm"]["networks"] == ["model"]
    assert services["postgres"]["networks"] == ["inner"]
    assert yaml.safe_load(FILE.read_text())["networks"]["inner"] == {"internal": True}


def test_the_schema_is_brought_up_before_app_and_workers(services: dict[str, Any]) -> None:
    assert services["migrate"]["command"] == ["migrate"]
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    for name in ("app", "worker", "worker-replay"):
        waits = services[name]["depends_on"]["migrate"]
        assert waits == {"condition": "service_completed_successfully"}, name


def test_images_and_adapters_are_the_same_everywhere(services: dict[str, Any]) -> None:
    adapters = "${ADAPTERS:-./adapters}:/adapters:ro"
    for name in ("app", "worker", "worker-replay"):
        assert services[name]["volumes"] == ["data:/data", adapters], name
    assert adapters in services["vllm"]["volumes"]


def test_the_model_server_has_the_options_that_the_worker_would_give_it(
    services: dict[str, Any],
) -> None:
    launch = Launch(model="M", log=Path("log"), adapters=True)
    own = launch.command("vllm", 8000)
    words = services["vllm"]["command"].split()
    assert words[-1] == "${VLLM_FLAGS:-}"
    assert words[0].startswith("${MODEL")
    # The address is the container's; what follows is word for word the same.
    assert words[1:3] == ["--host", EVERYWHERE]
    assert words[3:-1] == own[own.index("--port") :]
    assert launch.variables().items() <= services["vllm"]["environment"].items()


def test_a_gpu_is_reserved(services: dict[str, Any]) -> None:
    devices = services["vllm"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]
    assert services["vllm"]["profiles"] == services["worker"]["profiles"] == ["gpu"]
    assert services["worker-replay"]["profiles"] == ["replay"]


def test_no_secret_has_a_default() -> None:
    secrets = {"POSTGRES_PASSWORD", "ITERDPO_METRICS_TOKEN", "HF_TOKEN"}
    assert {name: variables()[name] for name in secrets} == dict.fromkeys(secrets, "")
    text = FILE.read_text()
    used = re.findall(r"\$\{(\w+)(:?[-?][^}]*)?\}", text)
    assert {how[:2] for name, how in used if name == "POSTGRES_PASSWORD"} == {":?"}
    assert {name for name, _ in used} - {"ITERDPO_VERSION"} <= variables().keys()


def test_settings_of_the_containers_are_settings(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the file of variables leaves them empty."""
    known = {f"ITERDPO_{name.upper()}" for name in Settings.model_fields} | {"DATABASE_URL"}
    for name in ("app", "worker", "worker-replay", "migrate"):
        given = services[name]["environment"]
        assert given.keys() <= known, name
        with monkeypatch.context() as patch:
            for variable, value in given.items():
                text = value or ""
                patch.setitem(os.environ, variable, re.sub(r"\$\{.*?\}", "abc", text))
            settings = Settings()
        assert settings.metrics_token is None
        assert not settings.public_url
        assert settings.metrics_host == EVERYWHERE


def test_the_image_has_an_exact_python_and_is_nobodys_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert lines.index("USER iterdpo") < lines.index('ENTRYPOINT ["iterdpo"]')
    assert any(re.match(r"ARG PYTHON=3\.\d+\.\d+-slim", line) for line in lines)
