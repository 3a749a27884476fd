"""Making a trained adapter known to the studio as a policy."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.client import Studio
from trainer.config import Config, token_of
from trainer.refusals import ConfigRefusal, TrainingRefusal


@dataclass(frozen=True, slots=True)
class Policy:
    """What a policy is known by; the fields of POST /api/v1/policies."""

    name: str
    project: str
    base_model: str
    revision: str
    adapter: str
    template_hash: str
    round: int


def policy_of(config: Config, adapter: Path, template_hash: str) -> Policy:
    """The policy that the configuration describes. Raises ConfigRefusal for what it lacks."""
    wanted = config.register_as
    if wanted is None:
        raise ConfigRefusal("register: is missing; --register needs the policy's name.")
    project = wanted.project or config.data.project
    if project is None:
        raise ConfigRefusal("register.project: is missing; data names no project.")
    return Policy(
        name=wanted.name,
        project=project,
        base_model=config.model,
        revision=config.revision,
        adapter=str(adapter),
        template_hash=template_hash,
        round=wanted.round,
    )


def require_free(config: Config, policy: Policy) -> None:
    """Find out before hours of training that the name is taken, or that the token may not.

    Raises StudioRefusal or TrainingRefusal.
    """
    with _studio(config) as studio:
        for known in studio.policies():
            if known["name"] == policy.name and not _same(known, policy):
                raise TrainingRefusal(
                    f"register.name: there is another policy named {policy.name} already."
                )


def register(config: Config, policy: Policy) -> dict[str, Any]:
    """Register it; doing so twice changes nothing. Raises StudioRefusal, with status 409 for a
    name that stands for something else."""
    with _studio(config) as studio:
        return studio.register(asdict(policy))


def _studio(config: Config) -> Studio:
    wanted = config.register_as
    assert wanted is not None  # noqa: S101 - policy_of has refused it
    url = wanted.url or config.data.url
    if url is None:
        raise ConfigRefusal("register.url: is missing; data names no studio.")
    return Studio(url, token_of(wanted.token_env or config.data.token_env))


def _same(known: dict[str, Any], policy: Policy) -> bool:
    facts = asdict(policy)
    del facts["project"]
    return all(known[name] == value for name, value in facts.items())
