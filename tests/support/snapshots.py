"""A database with pairs and images that commit, and snapshots made of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.database.sessions import Sessions, make_engine, make_sessions
from app.domain.filters import PairFilter
from app.domain.quality import Gate
from app.domain.splits import SplitPlan
from app.exports.snapshot_store import SnapshotStore
from app.images.store import ImageStore
from app.models import Project, Sample, Snapshot, SnapshotState
from app.snapshots import attempts, service
from app.snapshots.builder import build
from tests.support.factories import SLIDES, add_policy, add_project, add_sample
from tests.support.pairing import add_pair, show_images


@dataclass
class Vault:
    """A project with samples, pairs and images; every verb commits."""

    sessions: Sessions
    store: SnapshotStore
    images: ImageStore
    project_id: int = 0
    lease_s: float = 5.0
    filled: int = 0

    def fill(self, samples: int = 6, *, shared: bool = False) -> list[int]:
        """Samples of two pairs each; shared: each shows an image that its neighbour shows too."""
        with self.sessions.begin() as db:
            project = db.get_one(Project, self.project_id)
            policy = add_policy(db)
            made = []
            for number in range(self.filled, self.filled + samples):
                sample = add_sample(
                    db, project=project, policy=policy, source_id=f"sample-{number}"
                )
                colours = (number, number + 1) if shared else (2 * number, 2 * number + 1)
                show_images(db, self.images, sample, *(f"#{colour:02x}8040" for colour in colours))
                for at in (1, len(SLIDES)):
                    add_pair(db, sample=sample, number=at, text=f"{SLIDES[at - 1]} Better {number}")
                made.append(sample.id)
            self.filled += samples
        return made

    def ask(self, name: str = "round-1", **wishes: Any) -> int:
        """A queued snapshot; its id."""
        plan = SplitPlan(
            **{key: wishes.pop(key) for key in list(wishes) if key in SplitPlan.__slots__}
        )
        with self.sessions.begin() as db:
            return service.create(
                db,
                store=self.store,
                project=db.get_one(Project, self.project_id),
                name=name,
                format=wishes.pop("format", "trl"),
                filter=PairFilter(**wishes),
                gate=Gate(),
                plan=plan,
                actor_id=None,
            ).id

    def build(self, snapshot_id: int) -> bool:
        """What a builder does."""
        return build(
            self.sessions,
            snapshot_id=snapshot_id,
            worker="test",
            store=self.store,
            images=self.images,
            lease_s=self.lease_s,
        )

    def make(self, name: str = "round-1", **wishes: Any) -> Snapshot:
        """A snapshot that is ready."""
        snapshot_id = self.ask(name, **wishes)
        assert self.build(snapshot_id), self.row(snapshot_id).error
        return self.row(snapshot_id)

    def row(self, snapshot_id: int) -> Snapshot:
        """The row as it is now."""
        with self.sessions() as db:
            return db.get_one(Snapshot, snapshot_id)

    def start(self, snapshot_id: int) -> attempts.Work:
        """Take it as a builder does."""
        with self.sessions.begin() as db:
            work = attempts.start(db, snapshot_id=snapshot_id, worker="test", lease_s=self.lease_s)
        assert work is not None
        return work

    def archive(self, snapshot: Snapshot) -> Path:
        """Its zip file."""
        assert snapshot.state is SnapshotState.READY
        return self.store.archive(snapshot.id, snapshot.attempt)


@contextmanager
def vault(url: str, data: Path, *, name: str = "lectures") -> Iterator[Vault]:
    """An empty project and the stores under a data directory."""
    engine = make_engine(url, pool=6)
    made = Vault(
        make_sessions(engine), SnapshotStore(data / "snapshots"), ImageStore(data / "images")
    )
    try:
        with made.sessions.begin() as db:
            made.project_id = add_project(db, name=name).id
        yield made
    finally:
        engine.dispose()


def source_ids(db: Session, sample_ids: list[int]) -> list[str]:
    """What the samples are called in rows."""
    return [db.get_one(Sample, number).source_id for number in sample_ids]
