"""OpenAPI descriptions of the responses of app/pairs/api.py, with an example pair."""

from typing import Any

from pydantic import BaseModel, Field

from app.web.problem_documents import NOT_FOUND, refusals


class Turn(BaseModel):
    """An earlier message of the conversation."""

    role: str = Field(description="user or assistant.")
    content: str
    image_places: list[int] = Field(
        description="For each image, the number of characters of `content` before it."
    )


class PairLine(BaseModel):
    """A line of GET /pairs."""

    pair_id: str = Field(
        description="String of digits. It never changes, even if the pair is taken back "
        "and returns."
    )
    project: str = Field(description="The project's name.")
    sample: str = Field(description="The sample's imported id.")
    images: list[str] = Field(description="Addresses of the original images, in order.")
    system: str = Field(description='The system message, or "".')
    turns: list[Turn] = Field(description="The conversation before the instruction.")
    image_places: list[int] = Field(
        description="For each image of the instruction, the number of characters before "
        "it. Empty if all images come first."
    )
    instruction: str
    prefix: str = Field(description="The text before the segment; both sides continue it.")
    chosen: str = Field(description="The preferred segment.")
    rejected: str = Field(description="The model's segment.")
    ends_output: bool = Field(
        description="True if both sides end the output. Add end-of-turn only then."
    )
    on_policy: bool = Field(
        description="True if one model wrote the whole rejected side after exactly this prefix."
    )
    position: int = Field(description="Position of the segment in the output, counted from 0.")
    kind: str = Field(description="rewrite, insert, delete or choice (among candidates).")
    annotator: str
    policy: str | None = Field(description="Policy that wrote the rejected side; null if unknown.")
    created_at: str = Field(description="ISO 8601, UTC.")
    cursor: int = Field(description="Pass it as `after` to continue after this pair.")


EXAMPLE: dict[str, Any] = {
    "pair_id": "41",
    "project": "lectures",
    "sample": "cs101-07",
    "images": ["https://studio.example/api/v1/images/3f9a…c1"],
    "system": "",
    "turns": [],
    "image_places": [],
    "instruction": "Write a lecture script for these slides.",
    "prefix": "## Slide 1\n\nWelcome.\n\n",
    "chosen": "## Slide 2\n\nThe figure compares the model with a baseline.\n\n",
    "rejected": "## Slide 2\n\nThe figure is blank.\n\n",
    "ends_output": False,
    "on_policy": True,
    "position": 1,
    "kind": "rewrite",
    "annotator": "lin",
    "policy": "qwen2.5-vl-7b",
    "created_at": "2026-11-20T09:30:00+00:00",
    "cursor": 17,
}

_REFUSALS = refusals(NOT_FOUND)

PAIR_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One JSON object per line, in the order of the feed.",
        "headers": {
            "X-Next-Cursor": {
                "description": "Pass it as `after` to continue, now or later.",
                "schema": {"type": "integer"},
            },
            "Link": {
                "description": 'rel="next": address of the next pairs; missing at the end.',
                "schema": {"type": "string"},
            },
            "ETag": {
                "description": "Changes when any pair of this response changes.",
                "schema": {"type": "string"},
            },
            "Last-Modified": {
                "description": "Creation time of the newest of these pairs.",
                "schema": {"type": "string"},
            },
        },
        "content": {
            "application/x-ndjson": {
                "schema": PairLine.model_json_schema(),
                "example": EXAMPLE,
            }
        },
    },
    304: {"description": "Not modified since the ETag in If-None-Match."},
    **_REFUSALS,
}

GATE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The counts.",
        "content": {
            "application/json": {
                "example": {
                    "pairs": 639,
                    "left_out": {"truncated": {"pairs": 1, "first_pair_ids": ["17"]}},
                }
            }
        },
    },
    **_REFUSALS,
}

IMAGE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The image file.",
        "content": {
            f"image/{kind}": {"schema": {"type": "string", "format": "binary"}}
            for kind in ("png", "jpeg", "webp", "gif", "bmp")
        },
    },
    304: {"description": "Not modified."},
    **_REFUSALS,
}
