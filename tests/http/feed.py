"""Addresses of the feed of pairs, and its lines read."""

import json
from typing import Any

from tests.http.conftest import World


def rows(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def address(world: World, **query: object) -> str:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return f"/api/v1/pairs?project={world.project.name}{more}"
