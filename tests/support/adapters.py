"""Adapters for tests: directories of the right form, and policies that name them."""

import json
from pathlib import Path

from sqlalchemy.orm import Session

from app.models import Policy
from app.policies import service
from app.policies.fingerprint import read_adapter


def make_adapter(directory: Path, *, base: str = "/m", weights: bytes = b"weights") -> Path:
    """A directory that is an adapter as far as its form goes."""
    directory.mkdir(parents=True, exist_ok=True)
    config = {"base_model_name_or_path": base, "r": 8, "peft_type": "LORA"}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    (directory / "adapter_model.safetensors").write_bytes(weights)
    return directory


def add_adapter(db: Session, directory: Path, *, name: str, base: str = "/m") -> Policy:
    """The adapter there as a policy of that name, not active."""
    return service.register(
        db,
        name=name,
        adapter=str(directory),
        adapter_hash=read_adapter(directory).sha256,
        base_model=base,
    )
