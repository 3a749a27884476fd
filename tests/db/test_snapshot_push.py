"""A snapshot pushed to a hub: a real HTTP server that takes what huggingface_hub sends."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard, constants
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

from app.refusals import Conflict, Forbidden
from app.snapshots import hub
from app.snapshots.queries import SnapshotView, snapshot_view
from tests.support.snapshots import Vault, vault


class Hub(ThreadingHTTPServer):
    """Remembers the repositories made and the files committed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.made: list[dict[str, Any]] = []
        self.header: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.refuses = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    """The few addresses that a push needs."""

    server: Hub

    def do_GET(self) -> None:
        listing = "/tree/" in self.path
        self._answer([] if listing else {"sha": "0" * 40, "siblings": [], "id": "ada/lectures"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refuses:
            self._answer({"error": "You may not write here."}, 403)
        elif self.path == "/api/repos/create":
            self.server.made.append(json.loads(body))
            self._answer({"url": f"{self.server.url}/datasets/ada/lectures"})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif self.path.endswith("/preupload/main"):
            asked = json.loads(body)["files"]
            self._answer(
                {
                    "files": [
                        {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for file in asked
                    ]
                }
            )
        elif self.path.endswith("/commit/main"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "header":
                    self.server.header = line["value"]
                else:
                    value = line["value"]
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
            self._answer(
                {
                    "success": True,
                    "commitOid": "1" * 40,
                    "commitUrl": f"{self.server.url}/datasets/ada/lectures/commit/1",
                }
            )
        else:
            self._answer({"error": self.path}, 404)

    def _answer(self, content: object, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing to say."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", made.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    disable_progress_bars()
    yield made
    enable_progress_bars()
    made.shutdown()
    made.server_close()


@pytest.fixture
def kept(committed_database: str, tmp_path: Path) -> Iterator[Vault]:
    with vault(committed_database, tmp_path) as made:
        made.fill(4)
        yield made


def view(kept: Vault, snapshot_id: int) -> SnapshotView:
    with kept.sessions() as db:
        return snapshot_view(db, snapshot_id=snapshot_id)


def test_a_push_is_one_commit_with_a_card(kept: Vault, server: Hub) -> None:
    made = view(kept, kept.make("round-1", validation=0.4, seed=3).id)
    hub.push(kept.store, made, repo="ada/lectures", license="cc-by-4.0", private=True)
    assert server.made[0].get("visibility", server.made[0].get("private")) in ("private", True)
    assert server.header["summary"] == "IterDPO snapshot round-1"
    assert made.content_hash is not None
    assert made.content_hash in server.header["description"]
    header = DatasetCard(server.files["README.md"].decode()).data.to_dict()  # type: ignore[no-untyped-call] # theirs
    assert header["license"] == "cc-by-4.0"
    splits = {entry["split"] for entry in header["configs"][0]["data_files"]}
    assert {f"{split}/metadata.jsonl" for split in splits} <= server.files.keys()
    images = [name for name in server.files if name.endswith(".png")]
    assert images
    assert all(server.files[name].startswith(b"\x89PNG") for name in images)
    # The scratch folder is gone; the snapshot is as it was.
    assert [path.name for path in (kept.store.root / str(made.id)).iterdir()] == ["1"]


def test_a_refusal_of_the_hub_is_a_sentence(kept: Vault, server: Hub) -> None:
    made = view(kept, kept.make().id)
    server.refuses = True
    with pytest.raises(Forbidden, match="You may not write here"):
        hub.push(kept.store, made, repo="ada/lectures", license="", private=True)


def test_what_cannot_be_pushed_says_why(
    kept: Vault, server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = view(kept, kept.ask())
    with pytest.raises(Conflict, match="not ready"):
        hub.push(kept.store, waiting, repo="ada/lectures", license="", private=True)
    made = view(kept, kept.make("two").id)
    with pytest.raises(Conflict, match="no name of a repository"):
        hub.push(kept.store, made, repo="not/a/name", license="", private=True)
    monkeypatch.setattr(hub, "huggingface_hub", None)
    with pytest.raises(Conflict, match=r"iterdpo-studio\[hub\]"):
        hub.push(kept.store, made, repo="ada/lectures", license="", private=True)
