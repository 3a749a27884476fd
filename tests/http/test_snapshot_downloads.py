"""Downloads of snapshots: whole, gone on with, told from what is known, in the audit log once."""

import io
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.exports.snapshot_store import SnapshotStore
from app.models import AuditEvent, Snapshot, now
from tests.http.conftest import Make, World


def test_a_download_that_broke_off_goes_on(
    trainer: TestClient, make: Make, store: SnapshotStore
) -> None:
    made = make()
    content = store.archive(made.id, made.attempt).read_bytes()
    url = f"/snapshots/{made.id}/archive"
    whole = trainer.get(url)
    assert whole.content == content
    assert zipfile.ZipFile(io.BytesIO(whole.content)).testzip() is None
    etag = whole.headers["etag"]
    assert etag == f'"{made.archive_sha256}"'
    half = len(content) // 2
    rest = trainer.get(url, headers={"Range": f"bytes={half}-", "If-Range": etag})
    assert rest.status_code == 206
    assert content[:half] + rest.content == content
    # Another file by now: all of it, never two halves of different files.
    other = trainer.get(url, headers={"Range": f"bytes={half}-", "If-Range": '"x"'})
    assert (other.status_code, other.content) == (200, content)
    beyond = trainer.get(url, headers={"Range": f"bytes={len(content)}-"})
    assert beyond.status_code == 416


def test_what_is_not_ready_is_not_downloaded(
    trainer: TestClient, visitor: TestClient, token: dict[str, str], make: Make
) -> None:
    made = make(ready=False)
    assert trainer.get(f"/snapshots/{made.id}/archive").status_code == 409
    answer = visitor.get(f"/api/v1/snapshots/{made.id}/archive", headers=token)
    assert answer.status_code == 409
    assert answer.json()["detail"] == "The snapshot round-1 is not ready: it is queued."


def test_a_file_that_is_lost_is_said_to_be(
    trainer: TestClient, make: Make, store: SnapshotStore, tmp_path: Path
) -> None:
    made = make()
    store.drop(made.id)
    answer = trainer.get(f"/snapshots/{made.id}/archive")
    assert answer.status_code == 404
    assert "create it again" in answer.text.replace("\n", " ")


def downloads(db: Session, snapshot: Snapshot) -> list[int | None]:
    """Who downloaded it, as the audit log says."""
    return list(
        db.scalars(
            select(AuditEvent.actor_id).where(
                AuditEvent.action == "snapshot_downloaded",
                AuditEvent.object == f"snapshot:{snapshot.id}",
            )
        )
    )


@pytest.mark.parametrize("api", ["", "/api/v1"], ids=["page", "api"])
def test_a_download_is_one_event_however_it_comes(
    trainer: TestClient,
    visitor: TestClient,
    token: dict[str, str],
    db: Session,
    world: World,
    make: Make,
    api: str,
) -> None:
    made = make()
    etag = f'"{made.archive_sha256}"'
    client, sent = (visitor, token) if api else (trainer, {})
    url = f"{api}/snapshots/{made.id}/archive"

    def get(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get(url, headers=sent | named).status_code

    # Nothing but the rest of it, which nobody has begun here: this is the download.
    assert get(Range="bytes=1-") == 206
    assert downloads(db, made) == [world.trainer.id]
    assert [get(Range="bytes=9-99"), get(Range="bytes=100-", If_Range=etag)] == [206, 206]
    assert get(Range=f"bytes={made.size}-") == 416
    assert get(If_None_Match=etag) == 304
    assert len(downloads(db, made)) == 1
    # Each of these begins anew.
    assert get() == 200
    assert get(Range="bytes=0-99") == 206
    assert get(Range="bytes=5-", If_Range='"another"') == 200
    assert get(Range="bytes=5-9,0-3") == 206
    assert len(downloads(db, made)) == 5


@pytest.mark.parametrize(
    "strange",
    [
        "items=0-1",
        "bytes=",
        "bytes=x",
        "bytes=--5",
        "bytes=9-3",
        "bytes=0-1,9-3",
        f"bytes={9**99}-",
    ],
)
def test_a_range_that_is_none_is_passed_over(trainer: TestClient, make: Make, strange: str) -> None:
    made = make()
    answer = trainer.get(f"/snapshots/{made.id}/archive", headers={"Range": strange})
    assert (answer.status_code, len(answer.content)) == (200, made.size)


@pytest.mark.parametrize("beyond", ["bytes={size}-", "bytes=-0", "bytes=0-1,{size}-{size}"])
def test_a_range_beyond_the_end_is_refused_in_the_form_of_the_place(
    trainer: TestClient, visitor: TestClient, token: dict[str, str], make: Make, beyond: str
) -> None:
    made = make()
    wanted = {"Range": beyond.format(size=made.size)}
    program = visitor.get(f"/api/v1/snapshots/{made.id}/archive", headers=token | wanted)
    assert program.status_code == 416
    assert program.headers["content-type"] == "application/problem+json"
    assert program.headers["content-range"] == f"bytes */{made.size}"
    assert f"{made.size} bytes" in program.json()["detail"]
    person = trainer.get(f"/snapshots/{made.id}/archive", headers=wanted)
    assert (person.status_code, "</html>" in person.text) == (416, True)


def test_asking_for_its_size_is_no_download(
    visitor: TestClient, token: dict[str, str], db: Session, make: Make
) -> None:
    made = make()
    assert visitor.head(f"/api/v1/snapshots/{made.id}/archive", headers=token).status_code == 200
    assert downloads(db, made) == []


def test_a_download_of_the_day_before_is_not_gone_on_with(
    trainer: TestClient, db: Session, world: World, make: Make
) -> None:
    made = make()
    long_ago = now() - timedelta(days=2)
    db.add(
        AuditEvent(
            at=long_ago,
            actor_id=world.trainer.id,
            action="snapshot_downloaded",
            object=f"snapshot:{made.id}",
            details={},
        )
    )
    db.commit()
    trainer.get(f"/snapshots/{made.id}/archive", headers={"Range": "bytes=9-"})
    assert len(downloads(db, made)) == 2
