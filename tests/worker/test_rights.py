"""A long answer ends when the right to it does, over real HTTP."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from app.accounts import service as accounts
from app.exports.snapshot_store import ARCHIVE, SnapshotStore
from app.models import (
    ApiToken,
    Draft,
    LoginSession,
    Membership,
    Project,
    Role,
    Sample,
    Snapshot,
    SnapshotState,
    User,
    now,
)
from app.projects import service as projects
from app.regenerations import Portion
from app.security import SESSION_COOKIE, Actor
from app.web.rights import LONGEST_S, LOOK_S
from tests.support.factories import add_user
from tests.worker.conftest import Site

# Events are told at once; the rest is a busy machine's.
AT_ONCE_S = 1.5
# More than sockets and buffers hold between a server and a reader who does not read.
MANY_BYTES = 40 * 2**20


@dataclass
class Writing:
    """A text to which something is added twenty times a second, until it is told to stop."""

    site: Site
    run: int
    attempt: int
    ended: threading.Event

    def go_on(self) -> None:
        at = 0
        while not self.ended.wait(0.05):
            self.site.studio.append(Portion(self.run, self.attempt, at, "word ", (), None))
            at += 5


@pytest.fixture
def writing(site: Site) -> Iterator[Writing]:
    run = site.studio.correct(3, "captivating realm", "wide field")
    work = site.studio.start(run)
    writing = Writing(site, run, work.attempt, threading.Event())
    thread = threading.Thread(target=writing.go_on)
    thread.start()
    yield writing
    writing.ended.set()
    thread.join(10)


def annotator(db: Session, site: Site) -> User:
    return db.get_one(User, db.get_one(Draft, site.studio.draft_id).user_id)


def project(db: Session, site: Site) -> Project:
    draft = db.get_one(Draft, site.studio.draft_id)
    return db.get_one(Project, db.get_one(Sample, draft.sample_id).project_id)


def log_out(db: Session, site: Site) -> None:
    cookie = {SESSION_COOKIE: site.browser.cookies[SESSION_COOKIE]}
    answer = httpx.post(f"{site.base_url}/logout", cookies=cookie, timeout=20)
    assert answer.status_code == 303


def disable(db: Session, site: Site) -> None:
    accounts.disable(db, user_id=annotator(db, site).id)


def remove(db: Session, site: Site) -> None:
    user = annotator(db, site)
    projects.remove_member(db, project=project(db, site), user_id=user.id, actor_id=user.id)


def set_password(db: Session, site: Site) -> None:
    accounts.set_password(db, user_id=annotator(db, site).id, password="correct horse battery")


def expire(db: Session, site: Site) -> None:
    """The log-in's time is over; nobody says so."""
    db.execute(update(LoginSession).values(expires_at=now()))


def remove_by_hand(db: Session, site: Site) -> None:
    """In the database, past the app: nobody says so."""
    db.execute(delete(Membership).where(Membership.project_id == project(db, site).id))


@pytest.mark.parametrize(
    ("end", "within_s"),
    [
        (log_out, AT_ONCE_S),
        (disable, AT_ONCE_S),
        (remove, AT_ONCE_S),
        (set_password, AT_ONCE_S),
        (expire, LOOK_S + AT_ONCE_S),
        (remove_by_hand, LOOK_S + AT_ONCE_S),
    ],
)
def test_events_end_with_the_right_to_them(
    writing: Writing, end: Callable[[Session, Site], None], within_s: float
) -> None:
    site = writing.site
    with site.browser.stream("GET", site.url(writing.run)) as answer:
        lines = answer.iter_lines()
        while "word" not in next(lines):
            pass
        with site.studio.sessions.begin() as db:
            end(db, site)
        began = time.monotonic()
        rest = list(lines)  # to the end, which is an ordered one
        assert time.monotonic() - began < within_s
    assert not any(line.startswith("event: done") for line in rest)
    # As the page's script asks again over plain http: a redirect would look to it like an answer.
    again = site.browser.get(site.url(writing.run), headers={"Accept": "text/event-stream"})
    assert again.status_code in (401, 404)


def test_events_that_wait_end_too(site: Site) -> None:
    run = site.studio.correct(3, "captivating realm", "wide field")
    with site.browser.stream("GET", site.url(run)) as answer:
        lines = answer.iter_lines()
        while "queued" not in next(lines):
            pass
        with site.studio.sessions.begin() as db:
            log_out(db, site)
        began = time.monotonic()
        list(lines)
        assert time.monotonic() - began < AT_ONCE_S


def test_an_admin_of_yesterday_reads_no_more_of_others(writing: Writing) -> None:
    site = writing.site
    with site.studio.sessions.begin() as db:
        admin, other = add_user(db, role=Role.ADMIN), add_user(db, role=Role.ADMIN)
    site.log_in(site.browser, admin)
    with site.browser.stream("GET", site.url(writing.run)) as answer:
        lines = answer.iter_lines()
        next(lines)
        with site.studio.sessions.begin() as db:
            actor = Actor(other.id, other.name, other.display_name, other.role)
            accounts.change_role(db, user_id=admin.id, role=Role.ANNOTATOR, actor=actor)
        began = time.monotonic()
        list(lines)
        assert time.monotonic() - began < AT_ONCE_S
    assert site.browser.get(site.url(writing.run)).status_code == 404


def test_the_events_of_others_go_on(writing: Writing) -> None:
    site = writing.site
    with site.studio.sessions.begin() as db:
        admin = add_user(db, role=Role.ADMIN)
    with httpx.Client(base_url=site.base_url, timeout=20) as other:
        site.log_in(other, admin)
        with other.stream("GET", site.url(writing.run)) as answer:
            lines = answer.iter_lines()
            next(lines)
            with site.studio.sessions.begin() as db:
                remove(db, site)
                disable(db, site)
            until = time.monotonic() + LONGEST_S + 1
            heard = 0
            while time.monotonic() < until:
                heard += "word" in next(lines)
            assert heard > 20


@pytest.fixture
def archive(site: Site) -> str:
    """The address of a large snapshot."""
    with site.studio.sessions.begin() as db:
        user = annotator(db, site)
        user.role = Role.TRAINER
        snapshot = Snapshot(
            project_id=project(db, site).id,
            name="large",
            format="raw",
            template="chatml",
            state=SnapshotState.READY,
            attempt=1,
            finished_at=now(),
            counts={},
            content_hash="0" * 64,
            archive_sha256="1" * 64,
            size=MANY_BYTES,
            manifest={},
        )
        db.add(snapshot)
        db.flush()
        folder = SnapshotStore(site.studio.settings.snapshots).root / str(snapshot.id) / "1"
        folder.mkdir(parents=True)
        with (folder / ARCHIVE).open("wb") as file:
            file.truncate(MANY_BYTES)
        return f"/snapshots/{snapshot.id}/archive"


def download(client: httpx.Client, address: str, end: Callable[[], None]) -> int:
    """Read a little, let the right end after more than a look, read the rest; how much came."""
    with client.stream("GET", address) as answer:
        assert answer.status_code == 200, answer.read()
        assert int(answer.headers["content-length"]) == MANY_BYTES
        chunks = answer.iter_raw(2**16)
        count = len(next(chunks))
        time.sleep(LOOK_S + 0.5)
        end()
        time.sleep(LOOK_S + 0.5)
        for chunk in chunks:
            count += len(chunk)
    return count


@pytest.mark.parametrize("end", [log_out, disable, remove, remove_by_hand])
def test_a_download_is_cut_off_with_the_right_to_it(
    site: Site, archive: str, end: Callable[[Session, Site], None]
) -> None:
    def ended() -> None:
        with site.studio.sessions.begin() as db:
            end(db, site)

    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
        download(site.browser, archive, ended)


def test_a_download_by_token_is_cut_off_when_the_token_is_revoked(site: Site, archive: str) -> None:
    with site.studio.sessions.begin() as db:
        user = annotator(db, site)
        token = accounts.create_token(
            db, user_id=user.id, name="t", scopes=["pairs:read"], days=None
        )

    def revoke() -> None:
        with site.studio.sessions.begin() as db:
            db.execute(update(ApiToken).values(revoked_at=now()))

    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=site.base_url, headers=headers, timeout=20) as script:
        address = f"/api/v1{archive}"
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            download(script, address, revoke)


def test_a_slow_download_comes_whole_while_the_right_stands(site: Site, archive: str) -> None:
    def other() -> None:
        with site.studio.sessions.begin() as db:
            accounts.disable(db, user_id=add_user(db).id)

    assert download(site.browser, archive, other) == MANY_BYTES
