"""The segment tree of a sample: an output is a path, and a path's texts concatenate to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

# Of a path, the root aside: a thousand slides of five paragraphs. A page that shows more takes
# seconds, and nobody reads a text that is cut so finely.
MAX_SEGMENTS = 5_000

SegmentId = NewType("SegmentId", int)


class Origin(StrEnum):
    """Who wrote a segment; ROOT is the empty one that every sample's tree begins with."""

    ROOT = "root"
    MODEL = "model"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Node:
    """A segment: an immutable piece of text below its parent.

    parent_id: None for the root only. ends_output: the model really stopped after this segment.
    copied_from: the segment whose text was carried below a correction. image_index: 0-based, of
    the image it speaks of; None if unknown.
    """

    id: int
    parent_id: int | None
    text: str
    origin: Origin
    ends_output: bool
    copied_from: int | None = None
    image_index: int | None = None


def path(nodes: Mapping[int, Node], leaf: int) -> list[Node]:
    """The segments from the root to leaf, both included.

    Raises KeyError for a segment that is not among nodes, ValueError when parents run in a circle.
    """
    found: list[Node] = []
    seen: set[int] = set()
    at: int | None = leaf
    while at is not None:
        if at in seen:
            raise ValueError(f"Segment {at} is its own ancestor.")
        seen.add(at)
        found.append(nodes[at])
        at = nodes[at].parent_id
    found.reverse()
    return found


def text(nodes: Mapping[int, Node], leaf: int) -> str:
    """The output that ends in leaf: the texts of its path, concatenated."""
    return "".join(node.text for node in path(nodes, leaf))


def prefix(nodes: Mapping[int, Node], segment_id: int) -> str:
    """The text before a segment: that of the path up to its parent."""
    return "".join(node.text for node in path(nodes, segment_id)[:-1])


def common(nodes: Mapping[int, Node], first: int, second: int) -> Node:
    """The last segment that the paths to both leaves share; ValueError if they share none."""
    shared = None
    for one, other in zip(path(nodes, first), path(nodes, second), strict=False):
        if one.id != other.id:
            break
        shared = one
    if shared is None:
        raise ValueError(f"Segments {first} and {second} belong to different trees.")
    return shared
