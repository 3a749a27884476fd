"""What OpenAPI says of the answers: the fields of a pair, with an example."""

from typing import Any

from pydantic import BaseModel, Field

from app.web.problem_documents import NOT_FOUND, refusals


class Turn(BaseModel):
    """An earlier message; it shows the sample's first images."""

    role: str = Field(description="user or assistant.")
    content: str
    image_places: list[int] = Field(
        description="For each of its images, how many characters of content come before."
    )


class PairLine(BaseModel):
    """A line of GET /pairs."""

    pair_id: str = Field(
        description="A text of digits; the same for ever, also when the pair comes back."
    )
    project: str = Field(description="The project's name.")
    sample: str = Field(description="The sample's own id, as it was imported.")
    images: list[str] = Field(description="Addresses of the original images, in order.")
    system: str = Field(description='The system message; "" where there is none.')
    turns: list[Turn] = Field(description="The conversation before the instruction.")
    image_places: list[int] = Field(
        description="For each image of the instruction, how many of its characters come before; "
        "empty where the images come first."
    )
    instruction: str
    prefix: str = Field(description="The text before the segment; both sides continue it.")
    chosen: str = Field(description="The segment as the annotator wants it.")
    rejected: str = Field(description="The segment as the model wrote it.")
    ends_output: bool = Field(description="Both sides end the output: only then add end-of-turn.")
    on_policy: bool = Field(
        description="The model wrote the rejected side itself, under this very prefix."
    )
    position: int = Field(description="0-based, in segments.")
    kind: str = Field(description="rewrite, insert, delete or choice (among candidates).")
    annotator: str
    policy: str | None = Field(description="The model of the rejected side; null if unknown.")
    created_at: str = Field(description="ISO 8601, UTC.")
    cursor: int = Field(description="Pass it as `after` to go on behind this pair.")


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
        "description": "One JSON object a line, in the order of the feed.",
        "headers": {
            "X-Next-Cursor": {
                "description": "Pass it as `after` to read on, now or tomorrow.",
                "schema": {"type": "integer"},
            },
            "Link": {
                "description": 'rel="next": the address of what follows; missing at the end.',
                "schema": {"type": "string"},
            },
            "ETag": {
                "description": "Changes when any pair of this stretch does.",
                "schema": {"type": "string"},
            },
            "Last-Modified": {
                "description": "When the newest of these pairs was made.",
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
    304: {"description": "Nothing has changed since the ETag sent in If-None-Match."},
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
    304: {"description": "You have it already."},
    **_REFUSALS,
}
