"""A studio's REST API as trainers see it, on a server that breaks connections where told."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "idp_test"


@dataclass
class Fake:
    """What it answers. pairs: with rising cursors. images: bytes by SHA-256.

    cuts: for the next requests, after how many bytes of the body each connection breaks (None:
    not). answers: statuses with headers that are sent first, one a request, with the body refusal.
    pause_s: between lines.
    """

    pairs: list[dict[str, Any]]
    images: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int | None] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    refusal: bytes = b'{"detail": "Not now."}'
    pause_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def whole(self) -> bytes:
        """All lines."""
        return b"".join(map(line_of, self.pairs))


def some_pairs(count: int, images: dict[str, bytes] | None = None) -> list[dict[str, Any]]:
    """Pairs as the API sends them; cursors have gaps."""
    known = list(images or {})
    return [
        {
            "pair_id": str(number),
            "project": "lectures",
            "sample": f"s{number % 3}",
            "images": [f"https://elsewhere.example/api/v1/images/{name}" for name in known],
            "instruction": "Write.",
            "prefix": "Früher 字 " * (number % 5),
            "chosen": f"Better {number}, 好🙂.\n\n",
            "rejected": f'Worse {number}, "cursor": 7}}\n',
            "ends_output": number % 4 == 0,
            "on_policy": True,
            "position": number,
            "kind": "rewrite",
            "annotator": "lin",
            "policy": None if number % 2 else "model",
            "created_at": "2026-11-20T09:30:00+00:00",
            "cursor": 3 * number,
        }
        for number in range(1, count + 1)
    ]


def line_of(pair: dict[str, Any]) -> bytes:
    """As the server writes it."""
    text = json.dumps(pair, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"


def picture_bytes(*texts: str) -> dict[str, bytes]:
    """Bytes that stand for images, by their SHA-256."""
    return {hashlib.sha256(text.encode()).hexdigest(): text.encode() for text in texts}


@contextmanager
def serving(fake: Fake) -> Iterator[Fake]:
    """The fake answers under fake.url while this lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            fake.asked.append(self.path)
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                self._answer(401, {}, b'{"detail": "This API token is unknown."}')
            elif fake.answers:
                status, headers = fake.answers.pop(0)
                self._answer(status, headers, fake.refusal)
            elif "/images/" in self.path:
                self._image(self.path.rpartition("/")[2])
            else:
                self._pairs(parse_qs(urlsplit(self.path).query))

        def _pairs(self, query: dict[str, list[str]]) -> None:
            after, limit = int(query["after"][0]), int(query["limit"][0])
            behind = [pair for pair in fake.pairs if pair["cursor"] > after]
            sent = behind[:limit]
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("X-Next-Cursor", str(sent[-1]["cursor"] if sent else after))
            if len(behind) > limit:
                self.send_header("Link", '<https://elsewhere.example/next>; rel="next"')
            self.end_headers()
            self._send(map(line_of, sent), chunked=True)

        def _image(self, sha256: str) -> None:
            data = fake.images[sha256]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self._send([data], chunked=False)

        def _send(self, blocks: Any, *, chunked: bool) -> None:
            left = fake.cuts.pop(0) if fake.cuts else None
            for block in blocks:
                part = block if left is None else block[:left]
                if part:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
                    self.wfile.flush()
                if left is not None:
                    left -= len(part)
                    if left == 0:
                        self.close_connection = True
                        return
                time.sleep(fake.pause_s)
            if chunked:
                self.wfile.write(b"0\r\n\r\n")

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing: the tests look at fake.asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
