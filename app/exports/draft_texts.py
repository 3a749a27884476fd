"""The current texts of drafts, read in batches.

A batch costs three queries: the drafts, the segments up from their leaves (one recursive walk for
all of them together), and the images of their samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.domain.conversation import Context
from app.domain.corrections import Verdict, is_on_policy
from app.domain.spans import join, read
from app.domain.tree import Origin
from app.exports.reader import image_file
from app.lineage import TextInPlace, wrote_here

# A draft of 26 slides is 30 kB of text.
BATCH = 32

_DRAFTS = text(
    """
    SELECT d.id, d.sample_id, coalesce(run.leaf_id, d.head_id) AS leaf_id, d.finished_at,
           s.source_id, s.system, s.turns, s.image_places, s.instruction, project.name AS project,
           u.name AS annotator
    FROM drafts d
    JOIN samples s ON s.id = d.sample_id
    JOIN projects project ON project.id = s.project_id
    JOIN users u ON u.id = d.user_id
    LEFT JOIN regenerations run ON run.id = d.regeneration_id
    JOIN unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS asked (id, place) ON asked.id = d.id
    ORDER BY asked.place
    """
)
# LATERAL with OFFSET 0: each segment by its key, see source.py.
_SEGMENTS = text(
    """
    WITH RECURSIVE walk (draft_id, id, parent_id) AS (
        SELECT asked.draft_id, s.id, s.parent_id
        FROM unnest(CAST(:drafts AS bigint[]), CAST(:leaves AS bigint[])) AS asked (draft_id, id)
        JOIN segments s ON s.id = asked.id
        UNION ALL
        SELECT walk.draft_id, above.id, above.parent_id FROM walk CROSS JOIN LATERAL (
            SELECT id, parent_id FROM segments WHERE id = walk.parent_id OFFSET 0
        ) AS above
    )
    SELECT walk.draft_id, s.id, s.text, s.origin, s.ends_output, s.copied_from,
           s.spans, p.name AS policy, p.engine, v.verdict, v.created_at AS judged_at
    FROM walk
    CROSS JOIN LATERAL (SELECT * FROM segments WHERE id = walk.id OFFSET 0) AS s
    LEFT JOIN policies p ON p.id = s.policy_id
    LEFT JOIN verdicts v ON v.draft_id = walk.draft_id AND v.segment_id = s.id
    WHERE s.parent_id IS NOT NULL
    ORDER BY walk.draft_id, s.depth
    """
)
_IMAGES = text(
    """
    SELECT shown.sample_id, i.sha256, i.format
    FROM sample_images shown JOIN images i ON i.sha256 = shown.sha256
    WHERE shown.sample_id = ANY(CAST(:samples AS bigint[]))
    ORDER BY shown.sample_id, shown.position
    """
)


@dataclass(frozen=True, slots=True)
class PathSegment:
    """A segment on a draft's path. verdict and judged_at: None while it is not reviewed."""

    id: int
    text: str
    origin: Origin
    ends_output: bool
    on_policy: bool
    policy: str | None
    verdict: Verdict | None
    judged_at: datetime | None


@dataclass(frozen=True, slots=True)
class DraftPath:
    """A draft, its sample and the segments of its text, in order. finished_at: None while open."""

    id: int
    sample_id: int
    project: str
    sample: str
    context: Context
    instruction: str
    images: tuple[str, ...]
    image_files: tuple[str, ...]
    annotator: str
    finished_at: datetime | None
    segments: tuple[PathSegment, ...]


def draft_paths(db: Session, ids: Sequence[int]) -> Sequence[DraftPath]:
    """The drafts with these ids, in that order. Pass at most BATCH ids: all are held in memory."""
    rows = db.execute(_DRAFTS, {"ids": list(ids)}).all()
    asked = {"drafts": [row.id for row in rows], "leaves": [row.leaf_id for row in rows]}
    found = db.execute(_SEGMENTS, asked).all()
    on_policy = _on_policy(db, found)
    segments = {
        draft_id: tuple(_segment(row, on_policy) for row in group)
        for draft_id, group in groupby(found, key=itemgetter(0))
    }
    images = _images(db, {row.sample_id for row in rows})
    return [_path(row, segments.get(row.id, ()), images.get(row.sample_id, [])) for row in rows]


def _images(db: Session, samples: set[int]) -> Mapping[int, list[tuple[str, str]]]:
    """The images of each sample in order: SHA-256, and the file name in an export."""
    rows = db.execute(_IMAGES, {"samples": sorted(samples)})
    return {
        sample_id: [(row.sha256, image_file(row.sha256, row.format)) for row in group]
        for sample_id, group in groupby(rows, key=itemgetter(0))
    }


def _path(
    row: Row[Any], segments: tuple[PathSegment, ...], images: list[tuple[str, str]]
) -> DraftPath:
    return DraftPath(
        id=row.id,
        sample_id=row.sample_id,
        project=row.project,
        sample=row.source_id,
        context=Context.from_json(row.system, row.turns, row.image_places),
        instruction=row.instruction,
        images=tuple(sha256 for sha256, _ in images),
        image_files=tuple(file for _, file in images),
        annotator=row.annotator,
        finished_at=row.finished_at,
        segments=segments,
    )


def _on_policy(db: Session, rows: Sequence[Row[Any]]) -> set[tuple[int, int]]:
    """(Draft, segment) pairs where one policy wrote the text itself, after the same prefix.

    Copies need one more query.
    """
    found, copies = set(), {}
    for draft_id, group in groupby(rows, key=itemgetter(0)):
        prefix = ""
        for row in group:
            if row.origin == Origin.MODEL and row.copied_from is not None:
                spans = read(row.spans, segment_id=row.id, length=len(row.text))
                slices = join(span.text for span in spans)
                copies[draft_id, row.id] = TextInPlace(slices, row.text, prefix)
            elif is_on_policy(Origin(row.origin), False, row.engine):
                found.add((draft_id, row.id))
            prefix += row.text
    here = wrote_here(db, [*copies.values()])
    return found | {key for key, wrote in zip(copies, here, strict=True) if wrote}


def _segment(row: Row[Any], on_policy: set[tuple[int, int]]) -> PathSegment:
    return PathSegment(
        id=row.id,
        text=row.text,
        origin=Origin(row.origin),
        ends_output=row.ends_output,
        on_policy=(row.draft_id, row.id) in on_policy,
        policy=row.policy,
        verdict=Verdict(row.verdict) if row.verdict else None,
        judged_at=row.judged_at,
    )
