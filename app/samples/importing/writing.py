"""Writes samples and their segment trees in bulk: a few statements for a batch of any size."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.conversation import NO_CONTEXT, Context
from app.domain.segments import Piece, Rule
from app.images.inspection import ImageFacts
from app.models import Image

# The ids are drawn first, so that a whole tree is one INSERT: a segment's row names its parent's
# id. Identity columns are GENERATED ALWAYS; OVERRIDING SYSTEM VALUE is the door for exactly this.
_IDS = text("SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, :count)")
_SAMPLES = text("""
    INSERT INTO samples (id, project_id, source_id, title, instruction, language, target_words,
                         metadata, content_hash, rule, rule_words, part_images, system,
                         turns, image_places)
    OVERRIDING SYSTEM VALUE
    SELECT id, :project_id, source_id, title, instruction, language, target_words,
           CAST(metadata AS jsonb), content_hash, rule, rule_words,
           CAST(part_images AS bigint[]), system, CAST(turns AS jsonb),
           CAST(image_places AS bigint[])
    FROM unnest(CAST(:ids AS bigint[]), CAST(:source_ids AS text[]), CAST(:titles AS text[]),
                CAST(:instructions AS text[]), CAST(:languages AS text[]),
                CAST(:target_words AS bigint[]), CAST(:metadata AS text[]),
                CAST(:content_hashes AS bytea[]), CAST(:rules AS text[]),
                CAST(:rule_words AS bigint[]), CAST(:part_images AS text[]),
                CAST(:systems AS text[]), CAST(:turns AS text[]), CAST(:image_places AS text[]))
      AS new (id, source_id, title, instruction, language, target_words, metadata, content_hash,
              rule, rule_words, part_images, system, turns, image_places)
""")
_SEGMENTS = text("""
    INSERT INTO segments (id, sample_id, parent_id, depth, text, origin, ends_output, image_index,
                          policy_id)
    OVERRIDING SYSTEM VALUE
    SELECT id, sample_id, parent_id, depth, text,
           CASE WHEN depth = 0 THEN 'root' ELSE 'model' END, ends_output, image_index,
           CASE WHEN depth > 0 THEN CAST(:policy_id AS bigint) END
    FROM unnest(CAST(:ids AS bigint[]), CAST(:sample_ids AS bigint[]),
                CAST(:parent_ids AS bigint[]), CAST(:depths AS bigint[]), CAST(:texts AS text[]),
                CAST(:ends AS boolean[]), CAST(:image_indexes AS bigint[]))
      AS new (id, sample_id, parent_id, depth, text, ends_output, image_index)
""")
_HEADS = text("""
    UPDATE samples SET head_id = new.head_id
    FROM unnest(CAST(:ids AS bigint[]), CAST(:head_ids AS bigint[])) AS new (id, head_id)
    WHERE samples.id = new.id
""")
_SAMPLE_IMAGES = text("""
    INSERT INTO sample_images (sample_id, position, sha256)
    SELECT * FROM unnest(CAST(:sample_ids AS bigint[]), CAST(:positions AS bigint[]),
                         CAST(:hashes AS text[]))
""")


@dataclass(frozen=True, slots=True)
class NewSample:
    """A sample ready to be written. pieces: its segments in order, none for an empty path.
    rule: what it was cut by; None for the project's rule. part_images: the images that the segments
    speak of where each speaks of one, ascending. recut: the project's rule did not divide it, so
    that another did."""

    source_id: str
    title: str
    instruction: str
    language: str
    target_words: int | None
    metadata: Mapping[str, Any]
    content_hash: bytes
    images: tuple[ImageFacts, ...]
    pieces: tuple[Piece, ...]
    rule: Rule | None = None
    part_images: tuple[int, ...] | None = None
    recut: bool = False
    context: Context = NO_CONTEXT


def write_samples(
    db: Session, samples: Sequence[NewSample], *, project_id: int, policy_id: int
) -> None:
    """Insert samples with their images and their trees: a root, the output's segments below it.

    The model wrote every segment and stopped after the last one.
    """
    if not samples:
        return
    ids = _new_ids(db, "samples", len(samples))
    _write_images(db, samples)
    db.execute(
        _SAMPLES,
        {
            "project_id": project_id,
            "ids": ids,
            "source_ids": [sample.source_id for sample in samples],
            "titles": [sample.title for sample in samples],
            "instructions": [sample.instruction for sample in samples],
            "languages": [sample.language for sample in samples],
            "target_words": [sample.target_words for sample in samples],
            "metadata": [json.dumps(dict(sample.metadata)) for sample in samples],
            "content_hashes": [sample.content_hash for sample in samples],
            "rules": [sample.rule and sample.rule.kind.value for sample in samples],
            "rule_words": [sample.rule and sample.rule.words for sample in samples],
            "part_images": [_array(sample.part_images) for sample in samples],
            "systems": [sample.context.system for sample in samples],
            "turns": [
                json.dumps([turn.to_json() for turn in sample.context.turns]) for sample in samples
            ],
            "image_places": [_array(sample.context.image_places) for sample in samples],
        },
    )
    shown = [
        (sample_id, position, image.sha256)
        for sample_id, sample in zip(ids, samples, strict=True)
        for position, image in enumerate(sample.images)
    ]
    db.execute(
        _SAMPLE_IMAGES,
        {
            "sample_ids": [sample_id for sample_id, _, _ in shown],
            "positions": [position for _, position, _ in shown],
            "hashes": [sha256 for _, _, sha256 in shown],
        },
    )
    _write_trees(db, dict(zip(ids, samples, strict=True)), policy_id=policy_id)


def _write_trees(db: Session, samples: Mapping[int, NewSample], *, policy_id: int) -> None:
    nodes = [
        (sample_id, depth, piece)
        for sample_id, sample in samples.items()
        for depth, piece in enumerate((Piece("", None), *sample.pieces))
    ]
    ids = _new_ids(db, "segments", len(nodes))
    heads = dict(zip((sample_id for sample_id, _, _ in nodes), ids, strict=True))
    db.execute(
        _SEGMENTS,
        {
            "policy_id": policy_id,
            "ids": ids,
            "sample_ids": [sample_id for sample_id, _, _ in nodes],
            # The nodes of a path stand one behind the other.
            "parent_ids": [
                ids[at - 1] if depth else None for at, (_, depth, _) in enumerate(nodes)
            ],
            "depths": [depth for _, depth, _ in nodes],
            "texts": [piece.text for _, _, piece in nodes],
            "ends": [
                depth > 0 and heads[sample_id] == segment_id
                for segment_id, (sample_id, depth, _) in zip(ids, nodes, strict=True)
            ],
            "image_indexes": [piece.image_index for _, _, piece in nodes],
        },
    )
    db.execute(_HEADS, {"ids": list(heads), "head_ids": list(heads.values())})


def _write_images(db: Session, samples: Sequence[NewSample]) -> None:
    facts = {image.sha256: image for sample in samples for image in sample.images}
    if not facts:
        return
    # In one order everywhere: two imports that insert the same rows must not wait in a circle.
    rows = [
        {
            "sha256": sha256,
            "format": image.format,
            "width": image.width,
            "height": image.height,
            "size": image.size,
        }
        for sha256, image in sorted(facts.items())
    ]
    db.execute(insert(Image).on_conflict_do_nothing(), rows)


def _array(numbers: tuple[int, ...] | None) -> str | None:
    """As PostgreSQL writes an array: unnest would flatten arrays of arrays."""
    return None if numbers is None else "{" + ",".join(map(str, numbers)) + "}"


def _new_ids(db: Session, table: str, count: int) -> list[int]:
    return list(db.scalars(_IDS, {"table": table, "count": count}))
