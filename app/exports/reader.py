"""Reads selected pairs for the pipeline, in batches, each text once.

A batch costs three statements: the pairs with their sides, the segments above them (one recursive
walk for all of them together), and their samples with the images. No session is open between
batches, so a slow reader holds no connection.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import psycopg
from sqlalchemy.orm import Session

from app.domain.conversation import NO_CONTEXT, Context
from app.domain.corrections import Kind
from app.domain.formats import Pair
from app.domain.prefixes import EMPTY, Piece, Prefix
from app.domain.prompts import Template
from app.domain.quality import Setting
from app.domain.tokencount import VISION, image_tokens

BATCH = 1024

# Gives a session for as long as a batch is read.
OpenSession = Callable[[], AbstractContextManager[Session]]

# `truncated`: the rejected text is the last of a run that was stopped, failed or met its limit, and
# breaks off within a line (a run that was replaced ends with its last whole segment).
_PAIRS = """
    SELECT c.id, c.feed_position, c.sample_id, c.parent_id, c.chosen_id, chosen.text,
           rejected.text, c.kind, c.on_policy, chosen.depth - 1,
           chosen.ends_output AND rejected.ends_output,
           u.name, p.name, c.created_at,
           rejected.regeneration_id IS NOT NULL
               AND right(rejected.text, 1) NOT IN (chr(10), chr(13)) AND EXISTS (
               SELECT FROM regenerations run JOIN segments leaf ON leaf.id = run.leaf_id
               WHERE run.id = rejected.regeneration_id AND leaf.text = rejected.text
                 AND (run.state IN ('cancelled', 'failed')
                      OR run.state = 'done' AND run.stop_reason IS DISTINCT FROM 'stop'))
    FROM unnest(CAST(%(ids)s AS bigint[])) WITH ORDINALITY AS asked (id, place)
    JOIN corrections c ON c.id = asked.id
    JOIN segments chosen ON chosen.id = c.chosen_id
    JOIN segments rejected ON rejected.id = c.rejected_id
    JOIN users u ON u.id = c.annotator_id
    LEFT JOIN policies p ON p.id = rejected.policy_id
    ORDER BY asked.place
"""
# UNION, not UNION ALL: paths that meet are followed once from there on. LATERAL with OFFSET 0: each
# segment by its key. The planner takes a walk for a hundred times as long as it is, and would read
# the whole table for it, ten times as slow.
_ABOVE = """
    WITH RECURSIVE walk (id, parent_id) AS (
        SELECT id, parent_id FROM segments WHERE id = ANY(CAST(%(ids)s AS bigint[]))
        UNION
        SELECT above.id, above.parent_id FROM walk CROSS JOIN LATERAL (
            SELECT id, parent_id FROM segments WHERE id = walk.parent_id OFFSET 0
        ) AS above
    )
    SELECT found.id, found.parent_id, found.text FROM walk CROSS JOIN LATERAL (
        SELECT id, parent_id, text FROM segments WHERE id = walk.id OFFSET 0
    ) AS found
"""
_SAMPLES = """
    SELECT s.id, project.name, s.source_id, s.system, s.turns, s.image_places, s.instruction,
           s.language,
           array_agg(i.sha256 ORDER BY shown.position) FILTER (WHERE i.sha256 IS NOT NULL),
           array_agg(i.format ORDER BY shown.position) FILTER (WHERE i.sha256 IS NOT NULL),
           array_agg(i.width ORDER BY shown.position) FILTER (WHERE i.sha256 IS NOT NULL),
           array_agg(i.height ORDER BY shown.position) FILTER (WHERE i.sha256 IS NOT NULL)
    FROM samples s
    JOIN projects project ON project.id = s.project_id
    LEFT JOIN sample_images shown ON shown.sample_id = s.id
    LEFT JOIN images i ON i.sha256 = shown.sha256
    WHERE s.id = ANY(CAST(%(ids)s AS bigint[]))
    GROUP BY s.id, project.name
"""


@dataclass(frozen=True, slots=True, eq=False)
class SampleFacts:
    """What the pairs of a sample have in common; each reading creates a new one.

    images: SHA-256 of each, in order.
    image_files: their paths in an export, relative to its folder.
    """

    id: int
    project: str
    source_id: str
    instruction: str
    images: tuple[str, ...]
    image_files: tuple[str, ...]
    setting: Setting
    context: Context = NO_CONTEXT


class Found(NamedTuple):
    """A pair in the export pipeline. cursor: its feed position, 0 before it has one.

    truncated: the rejected side is where a generation broke off.
    """

    pair_id: int
    cursor: int
    sample: SampleFacts
    prefix: Prefix
    chosen: Piece
    rejected: Piece
    kind: Kind
    on_policy: bool
    position: int
    ends_output: bool
    annotator: str
    policy: str | None
    created_at: datetime
    truncated: bool

    @property
    def key(self) -> str:
        """The pair's id, as text."""
        return str(self.pair_id)

    @property
    def accepted(self) -> None:
        """None: a pair does not judge a single text."""
        return

    @property
    def item(self) -> Pair:
        """What a format makes rows of."""
        return self.pair

    @property
    def digest(self) -> str:
        """Hash of what a trainer learns from it; independent of author and format."""
        before = self.prefix
        parts = (
            b"%d %d %d" % (before.length, *before.checksums),
            self.sample.setting.content,
            self.chosen.json,
            self.rejected.json,
            b"end" if self.ends_output else b"",
        )
        # No stored text holds a NUL, so the parts cannot be taken for one another.
        return blake2b(b"\0".join(parts), digest_size=16).hexdigest()

    @property
    def pair(self) -> Pair:
        """The pair with all of its texts. Raises ValueError when they do not form a pair."""
        return self.pair_of(self.prefix.text, self.chosen.text, self.rejected.text)

    def pair_of(self, prefix: str, chosen: str, rejected: str) -> Pair:
        """The pair with these texts instead of its own."""
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
            context=self.sample.context,
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
            batch = read_batch(db, ids, template=template)
        yield from batch


def read_batch(
    db: Session, ids: Sequence[int], *, template: Template = Template.QWEN2_5_VL
) -> list[Found]:
    """The pairs with these ids, in that order; see read_pairs."""
    rows = _rows(db, _PAIRS, ids)
    above = _rows(db, _ABOVE, {row[3] for row in rows})
    samples = read_samples(db, {row[2] for row in rows}, template)
    pieces = {row[0]: Piece.of(row[2]) for row in above}
    tree = _Tree({row[0]: row[1] for row in above}, pieces)
    return [
        Found(
            row[0],
            row[1] or 0,
            samples[row[2]],
            tree.prefix(row[3]),
            # What was chosen here is, one segment on, a piece of the prefix.
            pieces.get(row[4]) or Piece.of(row[5]),
            Piece.of(row[6]),
            _KINDS[row[7]],
            *row[8:],
        )
        for row in rows
    ]


_KINDS = {kind.value: kind for kind in Kind}


class _Tree:
    """The segments above a batch of pairs, and the prefixes that end in them."""

    def __init__(self, above: Mapping[int, int | None], pieces: Mapping[int, Piece]) -> None:
        self._above = above
        self._pieces = pieces
        self._known: dict[int, Prefix] = {}

    def prefix(self, leaf: int) -> Prefix:
        """The text down to `leaf`, extended from the longest prefix that another pair shares."""
        path: list[Piece] = []
        at: int | None = leaf
        while at is not None and at not in self._known:
            path.append(self._pieces[at])
            at = self._above[at]
        found = EMPTY if at is None else self._known[at]
        if path:
            # In one step: of the prefixes between, most are no pair's.
            found = self._known[leaf] = found.grow(*reversed(path))
        return found


def _rows(db: Session, statement: str, ids: Iterable[int]) -> list[tuple[Any, ...]]:
    """Plain tuples, as psycopg makes them: a third of the time that SQLAlchemy's rows take."""
    connection: psycopg.Connection = db.connection().connection.driver_connection  # type: ignore[assignment] # it is psycopg's own
    # An array as PostgreSQL writes it: a list of numbers takes psycopg ten times as long.
    array = f"{{{','.join(map(str, ids))}}}"
    return connection.execute(statement.encode(), {"ids": array}).fetchall()


def read_samples(db: Session, ids: set[int], template: Template) -> Mapping[int, SampleFacts]:
    """The samples with these ids, by id. template: whose image tokens are counted."""
    return {row[0]: _sample(row, template) for row in _rows(db, _SAMPLES, ids)}


def _sample(row: tuple[Any, ...], template: Template) -> SampleFacts:
    sample_id, project, source_id, system, turns, places, instruction, language, *shown = row
    context = Context.from_json(system, turns, places)
    hashes, kinds, widths, heights = (column or () for column in shown)
    vision = VISION[template]
    sizes = zip(widths, heights, strict=True)
    # Apart, so that no control string is found across the bounds of two messages.
    asked = Piece.of("\n".join((*context.texts, instruction)))
    content = (instruction, *hashes, context.written()) if context else (instruction, *hashes)
    return SampleFacts(
        id=sample_id,
        project=project,
        source_id=source_id,
        context=context,
        instruction=instruction,
        images=tuple(hashes),
        image_files=tuple(map(image_file, hashes, kinds)),
        setting=Setting(
            language=language,
            content=blake2b("\0".join(content).encode(), digest_size=16).digest(),
            tokens=asked.tokens
            + sum(image_tokens(width, height, vision) for width, height in sizes),
            special=asked.special,
            control=asked.control,
            asked=asked.text,
        ),
    )


def image_file(sha256: str, kind: str) -> str:
    """Where an export keeps an image, relative to its folder; kind: the format of the image."""
    return f"images/{sha256}.{'jpg' if kind.lower() == 'jpeg' else kind.lower()}"


def image_kind(file: str) -> str:
    """The format of an image, from where an export keeps it."""
    return file.rpartition(".")[2].replace("jpg", "jpeg")
