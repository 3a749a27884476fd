"""Uploads that arrive slowly hold up nobody: they hold no slot of the database."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.accounts import service as accounts
from app.models import Import, ImportState, Role
from app.security import SESSION_COOKIE
from tests.support.factories import add_project, add_user
from tests.support.imports import lines, row
from tests.support.studio import Studio, studio

SLOW = 12
# As few slots as the app has with three connections: it keeps four for itself.
POOL = 7


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with studio(tmp_path_factory.mktemp("slow"), ITERDPO_DB_POOL=str(POOL)) as made:
        made.start("app")
        yield made


def begun(house: Studio, path: str, headers: dict[str, str], body: bytes) -> socket.socket:
    """A request that has sent its head and half of its body."""
    connection = socket.create_connection(("127.0.0.1", house.port), timeout=60)
    head = {"Host": f"127.0.0.1:{house.port}", "Content-Length": str(len(body))} | headers
    lines_ = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    connection.sendall(f"POST {path} HTTP/1.1\r\n{lines_}\r\n".encode() + body[: len(body) // 2])
    return connection


def form(content: bytes) -> tuple[bytes, str]:
    """The body of a form with a file, and its content type."""
    head = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="s.jsonl"\r\n\r\n'
    return head + content + b"\r\n--xx--\r\n", "multipart/form-data; boundary=xx"


@pytest.mark.parametrize("way", ["form", "REST"])
def test_a_dozen_slow_uploads_do_not_hold_up_a_page(house: Studio, way: str) -> None:
    with house.sessions.begin() as db:
        admin = add_user(db, role=Role.ADMIN)
        project = add_project(db)
        token = accounts.create_token(
            db, user_id=admin.id, name="t", scopes=["imports:write"], days=1
        )
        project_id, name = project.id, project.name
    body, kind = form(lines(*(row(number) for number in range(200))))
    if way == "form":
        path = f"/projects/{project_id}/import"
        cookie = f"{SESSION_COOKIE}={house.log_in(admin)}"
        headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Content-Type": kind}
    else:
        path = f"/api/v1/projects/{name}/imports"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    with ExitStack() as stack, house.client(admin) as client:
        slow = [stack.enter_context(begun(house, path, headers, body)) for _ in range(SLOW)]
        time.sleep(1)
        for _ in range(5):
            began = time.monotonic()
            assert client.get("/projects", timeout=30).status_code == 200
            assert time.monotonic() - began < 5
        for connection in slow:
            connection.sendall(body[len(body) // 2 :])
        for connection in slow:
            status = connection.recv(4096).split(b" ", 2)[1]
            assert status == (b"303" if way == "form" else b"202")
    with house.sessions() as db:
        waiting = db.query(Import).filter_by(state=ImportState.WAITING).count()
    assert waiting == SLOW
