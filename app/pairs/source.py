"""Selected pairs as the pipeline carries them: read in batches, every text looked at once.

A batch costs three statements: the pairs with their sides, the segments above them (one recursive
walk for all of them together), and their samples with the images. No session is open between
batches, so a slow reader holds no connection.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.domain.corrections import Kind
from app.domain.formats import Pair
from app.domain.prefixes import EMPTY, Prefix, escaped, has_control, has_special
from app.domain.prompts import Template
from app.domain.quality import Setting, Sides
from app.domain.tokencount import VISION, image_tokens, text_tokens

BATCH = 512

# Gives a session for as long as a batch is read.
OpenSession = Callable[[], AbstractContextManager[Session]]

# `truncated`: the rejected text is the last of a run that was stopped, failed or met its limit, and
# breaks off within a line (a run that was replaced ends with its last whole segment).
_PAIRS = text(
    """
    SELECT c.id, c.feed_position, c.sample_id, c.parent_id, chosen.text, rejected.text, c.kind,
           c.on_policy, chosen.depth - 1, chosen.ends_output AND rejected.ends_output,
           u.name, p.name, c.created_at,
           rejected.regeneration_id IS NOT NULL
               AND right(rejected.text, 1) NOT IN (chr(10), chr(13)) AND EXISTS (
               SELECT FROM regenerations run JOIN segments leaf ON leaf.id = run.leaf_id
               WHERE run.id = rejected.regeneration_id AND leaf.text = rejected.text
                 AND (run.state IN ('cancelled', 'failed')
                      OR run.state = 'done' AND run.stop_reason IS DISTINCT FROM 'stop'))
    FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS asked (id, place)
    JOIN corrections c ON c.id = asked.id
    JOIN segments chosen ON chosen.id = c.chosen_id
    JOIN segments rejected ON rejected.id = c.rejected_id
    JOIN users u ON u.id = c.annotator_id
    LEFT JOIN policies p ON p.id = rejected.policy_id
    ORDER BY asked.place
    """
)
# UNION, not UNION ALL: paths that meet are followed once from there on.
_ABOVE = text(
    """
    WITH RECURSIVE walk (id, parent_id) AS (
        SELECT id, parent_id FROM segments WHERE id = ANY(CAST(:parents AS bigint[]))
        UNION
        SELECT s.id, s.parent_id FROM segments s JOIN walk ON s.id = walk.parent_id
    )
    SELECT s.id, s.parent_id, s.text FROM walk JOIN segments s ON s.id = walk.id
    """
)
_SAMPLES = text(
    """
    SELECT s.id, project.name, s.source_id, s.instruction, s.language,
           array_agg(i.sha256 ORDER BY shown.position) FILTER (WHERE i.sha256 IS NOT NULL),
           array_agg(i.format ORDER BY shown.position) FILTER (WHERE i.sha256 IS NOT NULL),
           array_agg(i.width ORDER BY shown.position) FILTER (WHERE i.sha256 IS NOT NULL),
           array_agg(i.height ORDER BY shown.position) FILTER (WHERE i.sha256 IS NOT NULL)
    FROM samples s
    JOIN projects project ON project.id = s.project_id
    LEFT JOIN sample_images shown ON shown.sample_id = s.id
    LEFT JOIN images i ON i.sha256 = shown.sha256
    WHERE s.id = ANY(CAST(:samples AS bigint[]))
    GROUP BY s.id, project.name
    """
)


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """What a sample's pairs have in common. images: SHA-256 of each, in order; image_files: where
    an export keeps them, relative to its folder."""

    id: int
    project: str
    source_id: str
    instruction: str
    images: tuple[str, ...]
    image_files: tuple[str, ...]
    setting: Setting


@dataclass(slots=True)
class Found:
    """A pair on its way out. cursor: its place in the feed, 0 before it has one.

    truncated: the rejected side is where a generation broke off.
    """

    pair_id: int
    cursor: int
    sample: SampleFacts
    prefix: Prefix
    sides: Sides
    kind: Kind
    on_policy: bool
    position: int
    ends_output: bool
    annotator: str
    policy: str | None
    created_at: datetime
    truncated: bool

    @property
    def pair(self) -> Pair:
        """The pair with all of its texts. Raises ValueError for what can be none."""
        return self.pair_of(self.prefix.text, self.sides.chosen, self.sides.rejected)

    def pair_of(self, prefix: str, chosen: str, rejected: str) -> Pair:
        """The pair with these texts in place of its own."""
        return Pair(
            pair_id=self.pair_id,
            project=self.sample.project,
            sample=self.sample.source_id,
            images=self.sample.images,
            image_files=self.sample.image_files,
            instruction=self.sample.instruction,
            prefix=prefix,
            chosen=chosen,
            rejected=rejected,
            ends_output=self.ends_output,
            on_policy=self.on_policy,
            position=self.position,
            annotator=self.annotator,
            policy=self.policy,
            kind=self.kind.value,
            created_at=self.created_at,
        )


def read_pairs(
    open_session: OpenSession,
    batches: Iterator[Sequence[int]],
    *,
    template: Template = Template.QWEN2_5_VL,
) -> Iterator[Found]:
    """The pairs with these ids, in that order. template: whose image tokens are counted."""
    for ids in batches:
        with open_session() as db:
            batch = list(read_batch(db, ids, template=template))
        yield from batch


def read_batch(
    db: Session, ids: Sequence[int], *, template: Template = Template.QWEN2_5_VL
) -> Iterator[Found]:
    """The pairs with these ids, in that order; see read_pairs."""
    rows = db.execute(_PAIRS, {"ids": list(ids)}).all()
    parents = {row[3] for row in rows}
    above = {row[0]: (row[1], row[2]) for row in db.execute(_ABOVE, {"parents": list(parents)})}
    samples = _samples(db, {row[2] for row in rows}, template)
    prefixes: dict[int, Prefix] = {}
    for row in rows:
        prefix = prefixes.get(row[3]) or _prefix(row[3], above, parents, prefixes)
        chosen, rejected = row[4], row[5]
        yield Found(
            row[0],
            row[1] or 0,
            samples[row[2]],
            prefix,
            Sides(chosen, rejected, escaped(chosen), escaped(rejected)),
            Kind(row[6]),
            row[7],
            row[8],
            row[9],
            row[10],
            row[11],
            row[12],
            row[13],
        )


def _prefix(
    leaf: int,
    above: Mapping[int, tuple[int | None, str]],
    parents: set[int],
    known: dict[int, Prefix],
) -> Prefix:
    """The text down to `leaf`, grown from the longest prefix that another pair has too."""
    waiting: list[tuple[int, list[str]]] = []
    at: int | None = leaf
    found = EMPTY
    while at is not None:
        if at in known:
            found = known[at]
            break
        if at in parents:
            waiting.append((at, []))
        at, piece = above[at]
        waiting[-1][1].append(piece)
    for segment, pieces in reversed(waiting):
        pieces.reverse()
        found = known[segment] = found.grow(tuple(pieces))
    return found


def _samples(db: Session, ids: set[int], template: Template) -> Mapping[int, SampleFacts]:
    rows = db.execute(_SAMPLES, {"samples": list(ids)})
    return {row[0]: _sample(row, template) for row in rows}


def _sample(row: Row[Any], template: Template) -> SampleFacts:
    sample_id, project, source_id, instruction, language, *shown = tuple(row)
    hashes, kinds, widths, heights = (column or () for column in shown)
    vision = VISION[template]
    sizes = zip(widths, heights, strict=True)
    written = escaped(instruction)
    return SampleFacts(
        id=sample_id,
        project=project,
        source_id=source_id,
        instruction=instruction,
        images=tuple(hashes),
        image_files=tuple(map(image_file, hashes, kinds)),
        setting=Setting(
            language=language,
            content=blake2b(written + b"".join(map(str.encode, hashes)), digest_size=16)
            .hexdigest()
            .encode(),
            tokens=text_tokens(instruction)
            + sum(image_tokens(width, height, vision) for width, height in sizes),
            special=has_special("", instruction),
            control=has_control(instruction, written),
        ),
    )


def image_file(sha256: str, kind: str) -> str:
    """Where an export keeps an image, relative to its folder; kind: the format of the image."""
    return f"images/{sha256}.{'jpg' if kind.lower() == 'jpeg' else kind.lower()}"


def image_kind(file: str) -> str:
    """The format of an image, from where an export keeps it."""
    return file.rpartition(".")[2].replace("jpg", "jpeg")
