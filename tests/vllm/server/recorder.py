"""A witness inside of the server: writes down what each request asked and all that it was sent.

`vllm serve --middleware recorder.Recorder` with RECORDS naming a directory. Each server process
adds lines of JSON to a file of its own. A line is written before what it tells is sent, so
whatever a client has received stands in the file, also when the server is killed.
"""

import json
import os
from pathlib import Path

PATHS = ("/v1/chat/completions", "/inference/v1/generate")


class Recorder:
    """ASGI middleware; passes everything on as it is."""

    def __init__(self, app):
        self.app = app
        self.file = None
        self.requests = 0
        if directory := os.environ.get("RECORDS"):
            path = Path(directory) / f"{os.getpid()}.jsonl"
            self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def __call__(self, scope, receive, send):
        if self.file is None or scope["type"] != "http" or scope["path"] not in PATHS:
            await self.app(scope, receive, send)
            return
        self.requests += 1
        number = self.requests
        asked = bytearray()
        rest = b""

        async def heard():
            message = await receive()
            if message["type"] == "http.request":
                asked.extend(message.get("body", b""))
                if not message.get("more_body"):
                    self.write(number=number, **_request(asked))
            return message

        async def said(message):
            nonlocal rest
            if message["type"] == "http.response.start":
                self.write(number=number, status=message["status"])
            elif message["type"] == "http.response.body":
                *lines, rest = (rest + message.get("body", b"")).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {"):
                        self.tell(number, json.loads(line[6:]))
            await send(message)

        await self.app(scope, heard, said)

    def tell(self, number, event):
        """Note the text of an event, why it is the last, and what it has cost."""
        for choice in event.get("choices") or ():
            text = (choice.get("delta") or choice).get("content") or choice.get("text")
            if text:
                self.write(number=number, text=text)
            if choice.get("finish_reason"):
                self.write(number=number, finish=choice["finish_reason"])
        if event.get("usage"):
            self.write(number=number, usage=event["usage"])

    def write(self, **facts):
        """One line, at once."""
        os.write(self.file, json.dumps(facts).encode() + b"\n")


def _request(asked):
    body = json.loads(bytes(asked))
    last = (body.get("messages") or [{"role": "assistant", "content": None}])[-1]
    prefix = last["content"] if last["role"] == "assistant" else ""
    return {"id": body.get("request_id"), "prefix": prefix, "seed": body.get("seed")}
