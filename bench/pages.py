"""How long every page takes over 100,000 samples, more than a million segments, 100,000 pairs.

    python -m bench.pages --samples 100000 --pairs 100000 --times 20

Real processes: embedded database and app. Each page is asked for in turn, by an admin or by an
annotator with 500 drafts of which half are finished.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
from PIL import Image
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.images.store import ImageStore
from app.models import Correction, Draft, Project, Role, User
from bench.figures import Series, head, machine
from bench.pairs import seed_pairs
from tests.support.studio import Studio, studio

SEGMENTS = 26
FEW = 8
_SAMPLES = """
    INSERT INTO samples (project_id, source_id, title, instruction, content_hash)
    SELECT :project, 'more-' || n, 'Sample ' || n, 'Write a script.', sha256(n::text::bytea)
    FROM generate_series(1, :count) n
"""
_ROOTS = """
    INSERT INTO segments (sample_id, depth, text, origin)
    SELECT id, 0, '', 'root' FROM samples WHERE head_id IS NULL
"""
_SEGMENTS = """
    INSERT INTO segments (sample_id, parent_id, depth, text, origin, policy_id, ends_output)
    SELECT above.sample_id, above.id, :depth,
           '## Slide ' || :depth || E'\\nThe model reads each slide and explains it.\\n\\n',
           'model', (SELECT min(id) FROM policies), :depth = :last
    FROM samples JOIN segments above ON above.sample_id = samples.id AND above.depth = :depth - 1
    WHERE samples.head_id IS NULL
"""
_HEADS = """
    UPDATE samples SET head_id = segments.id FROM segments
    WHERE segments.sample_id = samples.id AND head_id IS NULL AND segments.depth = :last
"""
_DRAFTS = """
    INSERT INTO drafts (sample_id, user_id, head_id, finished_at)
    SELECT id, :user, head_id, CASE WHEN id % 2 = 0 THEN now() END
    FROM samples WHERE source_id LIKE 'more-%' ORDER BY id LIMIT :count
"""
_TAKEN = "UPDATE samples SET taken = 1 WHERE id IN (SELECT sample_id FROM drafts)"


def main() -> None:
    """Seed, measure, print a table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--samples", type=int, default=100_000)
    words.add_argument("--pairs", type=int, default=100_000)
    words.add_argument("--times", type=int, default=20)
    asked = words.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # it is a text file
    with (
        tempfile.TemporaryDirectory(prefix="iterdpo-bench-") as scratch,
        studio(Path(scratch) / "data", ITERDPO_LOG_LEVEL="WARNING") as house,
    ):
        began = time.perf_counter()
        with house.sessions.begin() as db:
            admin, annotator = _seed(db, ImageStore(house.data / "images"), asked)
        with house.sessions() as db:
            rows = {
                name: db.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()  # noqa: S608 - our names
                for name in ("samples", "segments", "corrections", "drafts")
            }
            addresses = _addresses(db)
            draft = db.scalars(select(Draft.id).where(Draft.user_id == annotator.id)).first()
        print(", ".join(f"{count:,} {name}" for name, count in rows.items()), end="; ")
        print(f"seeded in {time.perf_counter() - began:.0f} s. {machine()}\n\n{head()}")
        house.start("app")
        _measure(house, admin, addresses, asked.times)
        own = ["/", "/queue", "/?after=50000", f"/drafts/{draft}"]
        _measure(house, annotator, own, asked.times)


def _seed(db: Session, store: ImageStore, asked: argparse.Namespace) -> tuple[User, User]:
    """The project of bench.pairs, with small samples beside its own; an admin, an annotator."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        Image.new("RGB", (1280, 720), "navy").save(file.name)
        image = store.add(Path(file.name).read_bytes()).facts
    corrected = -(-asked.pairs // SEGMENTS)
    project = seed_pairs(db, samples=corrected, segments=SEGMENTS, images=[image])
    db.execute(text(_SAMPLES), {"project": project.id, "count": asked.samples - corrected})
    db.execute(text(_ROOTS))
    for depth in range(1, FEW + 1):
        # Else the planner takes the rows of the depth above for few.
        db.execute(text("ANALYZE samples, segments"))
        db.execute(text(_SEGMENTS), {"depth": depth, "last": FEW})
    db.execute(text(_HEADS), {"last": FEW})
    annotator = db.scalars(select(User).where(User.name == "ann0")).one()
    db.execute(text(_DRAFTS), {"user": annotator.id, "count": 500})
    db.execute(text(_TAKEN))
    admin = User(name="admin", display_name="Admin", role=Role.ADMIN)
    db.add(admin)
    db.execute(text("ANALYZE"))
    return admin, annotator


def _addresses(db: Session) -> list[str]:
    """What an admin looks at."""
    project = db.scalars(select(Project.id)).one()
    pair = db.scalars(select(Correction.id).order_by(Correction.id).offset(1000)).first()
    here = f"/projects/{project}"
    return [
        "/projects",
        here,
        f"{here}/samples",
        f"{here}/samples?after=50000",
        f"{here}/members",
        f"{here}/settings",
        f"{here}/pairs",
        f"{here}/pairs/count",
        f"{here}/pairs?annotator=ann3",
        f"{here}/pairs?min_edit=40",
        f"{here}/pairs?limit_per_sample=2",
        f"{here}/pairs?newest_only=true",
        f"{here}/pairs/{pair}",
        f"{here}/pairs/gate",
        f"{here}/snapshots",
        "/policies",
        "/people",
    ]


def _measure(house: Studio, user: User, addresses: list[str], times: int) -> None:
    app = psutil.Process(house.running["app"].pid)
    with house.client(user) as client:
        for address in addresses:
            _open(client, address)
            series = Series(f"`{address}`", app)
            with series.all():
                for _ in range(times):
                    with series.one():
                        _open(client, address)
            print(series.row())


def _open(client: httpx.Client, address: str) -> None:
    client.get(address).raise_for_status()


if __name__ == "__main__":
    main()
