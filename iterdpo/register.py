"""Making a trained adapter known to the studio as a policy."""

import hashlib
from pathlib import Path
from typing import Any

from iterdpo.config import Config, Register, token_of
from iterdpo.images import digest_of
from iterdpo.refusals import ConfigRefusal, TrainingRefusal
from iterdpo.studio import Studio

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def require_free(config: Config) -> None:
    """Find out before hours of training that the name is taken, or that the token knows nothing of
    policies. (That it may add one is seen when it does; the finished run can be registered again.)

    Raises ConfigRefusal, StudioRefusal or TrainingRefusal.
    """
    wanted = _wanted(config)
    _project(config)
    with _studio(config) as studio:
        if any(known["name"] == wanted.name for known in studio.policies()):
            raise TrainingRefusal(
                f"register.name: there is a policy named {wanted.name} already. What a policy is "
                "never changes: choose another name."
            )


def register(config: Config, adapter: Path) -> dict[str, Any]:
    """Register the adapter; doing so twice changes nothing. Returns the policy.

    Raises StudioRefusal, with status 409 for a name that stands for another adapter.
    """
    wanted = _wanted(config)
    policy = {
        "name": wanted.name,
        "project": _project(config),
        "base_model": wanted.base_model or config.model,
        "revision": config.revision,
        "adapter": wanted.adapter or str(adapter),
        "adapter_hash": adapter_hash(adapter),
        "round": wanted.round,
    }
    with _studio(config) as studio:
        return studio.register(policy)


def adapter_hash(adapter: Path) -> str:
    """SHA-256 over the adapter's configuration and weights, each after its name and size: what
    decides what it writes, and nothing else that lies there."""
    found = hashlib.sha256()
    for name in ADAPTER_FILES:
        path = adapter / name
        found.update(f"{name} {path.stat().st_size} {digest_of(path)}\n".encode())
    return found.hexdigest()


def _wanted(config: Config) -> Register:
    if config.register_as is None:
        raise ConfigRefusal("register: is missing; --register needs the policy's name")
    return config.register_as


def _project(config: Config) -> str:
    project = _wanted(config).project or config.data.project
    if project is None:
        raise ConfigRefusal("register.project: is missing; data names no project")
    return project


def _studio(config: Config) -> Studio:
    wanted = _wanted(config)
    url = wanted.url or config.data.url
    if url is None:
        raise ConfigRefusal("register.url: is missing; data names no studio")
    return Studio(url, token_of(wanted.token_env or config.data.token_env))
