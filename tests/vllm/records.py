"""What the servers have witnessed: read from the files of server/recorder.py."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Said:
    """What a server was asked by one request, and all that it sent.

    prefix: "" also where it went by token ids.
    """

    prefix: str
    seed: int | None
    status: int = 0
    text: str = ""
    finish: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)


def said_by_servers(records: Path) -> dict[str, list[Said]]:
    """What all server processes have witnessed, by request id (server/recorder.py)."""
    found: defaultdict[str, list[Said]] = defaultdict(list)
    for file in sorted(records.glob("*.jsonl")):
        requests: dict[int, Said] = {}
        # The last line of a process that was killed may be half a line.
        for line in file.read_text("utf-8").split("\n")[:-1]:
            fact = json.loads(line)
            number = fact["number"]
            if "prefix" in fact:
                requests[number] = Said(fact["prefix"] or "", fact["seed"])
                found[fact["id"]].append(requests[number])
            elif number not in requests:
                # Whoever sent it died in the middle of its body: it was refused, and said nothing.
                assert fact.get("status", 0) >= 400, fact
            elif "status" in fact:
                requests[number].status = fact["status"]
            elif "text" in fact:
                requests[number].text += fact["text"]
            elif "usage" in fact:
                requests[number].usage = fact["usage"]
            else:
                requests[number].finish = fact["finish"]
    return found
