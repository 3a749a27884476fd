"""A download of a snapshot that is cut off, by either side, goes on to the same bytes."""

import hashlib
import io
import random
from pathlib import Path

import httpx
from PIL import Image as Pillow

from app.exports.snapshot_store import SnapshotStore
from app.images.store import ImageStore
from app.models import Image, Project, Role, SampleImage
from tests.support.factories import add_project, add_sample, add_user
from tests.support.pairing import add_pair
from tests.support.snapshots import Vault
from tests.support.studio import studio


def test_a_download_survives_a_kill_of_the_client_and_of_the_app(tmp_path: Path) -> None:
    with studio(tmp_path / "data") as made:
        kept = Vault(
            made.sessions,
            SnapshotStore(made.data / "snapshots"),
            ImageStore(made.data / "images"),
            lease_s=60,
        )
        with made.sessions.begin() as db:
            project = add_project(db)
            admin = add_user(db, role=Role.ADMIN)
            kept.project_id = project.id
            sample = add_sample(db, project=db.get_one(Project, project.id))
            for position in range(3):
                sha256 = add_noise(kept.images, position)
                db.add(Image(sha256=sha256, format="PNG", width=1200, height=900, size=1))
                db.flush()
                db.add(SampleImage(sample_id=sample.id, position=position, sha256=sha256))
            add_pair(db, sample=sample, number=1, text="## Slide 1\nBetter.\n\n")
        snapshot = kept.make()
        assert (snapshot.size or 0) > 5_000_000
        made.start("app")
        url = f"/snapshots/{snapshot.id}/archive"
        got = b""
        with made.client(admin) as client:
            # The client is cut off in the middle.
            with client.stream("GET", url) as answer:
                etag = answer.headers["ETag"]
                for chunk in answer.iter_bytes(64 * 1024):
                    got += chunk
                    if len(got) > 1_000_000:
                        break
            # The app dies in the middle of the rest.
            try:
                with client.stream("GET", url, headers=rest(got, etag)) as answer:
                    assert answer.status_code == 206
                    for chunk in answer.iter_bytes(64 * 1024):
                        got += chunk
                        if len(got) > 2_000_000 and "app" in made.running:
                            made.kill("app")
            except httpx.TransportError:
                pass
            assert len(got) > 2_000_000
            made.start("app")
            if len(got) < (snapshot.size or 0):
                answer = client.get(url, headers=rest(got, etag))
                assert answer.status_code == 206
                got += answer.content
        assert hashlib.sha256(got).hexdigest() == snapshot.archive_sha256
        assert f'"{snapshot.archive_sha256}"' == etag


def rest(got: bytes, etag: str) -> dict[str, str]:
    return {"Range": f"bytes={len(got)}-", "If-Range": etag}


def add_noise(store: ImageStore, seed: int) -> str:
    """An image that cannot be compressed; its SHA-256."""
    noise = random.Random(seed).randbytes(1200 * 900 * 3)
    file = io.BytesIO()
    Pillow.frombytes("RGB", (1200, 900), noise).save(file, "PNG", compress_level=1)
    return store.add(file.getvalue()).facts.sha256
