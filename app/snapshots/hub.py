"""A snapshot as a dataset at the Hugging Face Hub, with a card."""

import tempfile
import zipfile
from pathlib import Path

from app.domain.datasetcard import SnapshotFacts, dataset_card
from app.domain.filters import from_canonical
from app.domain.splits import SplitPlan
from app.exports.snapshot_store import SnapshotStore
from app.models import SnapshotState
from app.refusals import Conflict, Forbidden
from app.snapshots import manifest
from app.snapshots.queries import SnapshotView

try:
    # It loads its parts when they are used: the names alone cost nearly nothing.
    import huggingface_hub
    import huggingface_hub.errors
except ImportError:
    # An optional part of the installation.
    huggingface_hub = None  # type: ignore[assignment]

_MISSING = (
    "Pushing needs huggingface_hub, which is not installed: pip install 'iterdpo-studio[hub]'"
)


def push(
    store: SnapshotStore, snapshot: SnapshotView, *, repo: str, license: str, private: bool
) -> str:
    """Upload what the snapshot holds to a dataset repository, made if there is none; its address.

    One commit holds all of it and names the content hash. Who pushes, and where to, is
    huggingface_hub's own affair (HF_TOKEN, HF_ENDPOINT). Raises Conflict when the package is
    missing, the snapshot is not ready or the hub does not answer, Forbidden when it refuses.
    """
    if huggingface_hub is None:
        raise Conflict(_MISSING)
    if snapshot.state is not SnapshotState.READY:
        raise Conflict(f"{snapshot.name} is not ready: there is nothing to push yet.")
    archive = store.archive(snapshot.id, snapshot.attempt)
    api = huggingface_hub.HfApi()
    with tempfile.TemporaryDirectory(dir=archive.parent.parent) as scratch:
        folder = Path(scratch) / snapshot.name
        with zipfile.ZipFile(archive) as file:
            file.extractall(scratch)
        card = dataset_card(facts_of(snapshot), repo=repo, license=license)
        (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
        try:
            address = api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
            api.upload_folder(
                repo_id=repo,
                repo_type="dataset",
                folder_path=folder,
                commit_message=f"IterDPO snapshot {snapshot.name}",
                commit_description=f"Content hash: {snapshot.content_hash}",
                # What an earlier snapshot had and this one has not must not stay.
                delete_patterns=["train/*", "validation/*", "test/*"],
            )
        except huggingface_hub.errors.HFValidationError as error:
            raise Conflict(f"{repo} is no name of a repository: {error}") from error
        except huggingface_hub.errors.HfHubHTTPError as error:
            raise Forbidden(f"The hub refuses: {error.server_message or error}") from error
        except OSError as error:
            raise Conflict(f"The hub does not answer: {error}") from error
    return str(address)


def facts_of(snapshot: SnapshotView) -> SnapshotFacts:
    """A ready snapshot as its card tells of it."""
    return manifest.facts(
        snapshot.counts or {},
        name=snapshot.name,
        project=snapshot.project,
        format=snapshot.format,
        template=snapshot.template,
        content_hash=snapshot.content_hash or "",
        wanted=from_canonical(snapshot.filter),
        plan=SplitPlan(seed=snapshot.seed, **snapshot.split),
    )
