"""Pairs with all that a trainer needs, in batches: memory stays flat however many there are.

A batch costs three queries: the pairs, the segments above them (one recursive walk for all of
them together) and the images of their samples.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Row, Select, any_, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.domain.formats import Pair
from app.models import Correction, Image, Policy, Project, Sample, SampleImage, Segment, User
from app.models.live import is_live_pair

BATCH = 256

Refused = Callable[[int, str], None]


class Order(Enum):
    """What pairs are walked by: their own ids, or their places in the feed."""

    ID = "id"
    FEED = "feed"


@dataclass(frozen=True, slots=True)
class Placed:
    """A pair and its cursor: everything after it follows."""

    cursor: int
    pair: Pair


def pairs(
    db: Session,
    *,
    project_id: int,
    order: Order,
    after: int = 0,
    until: int | None = None,
    limit: int | None = None,
    on_refused: Refused | None = None,
) -> Iterator[Placed]:
    """The project's live pairs with after < cursor <= until, in order, at most `limit` of them.

    on_refused(pair id, why) is called for a row that can be no pair; without it ValueError is
    raised there.
    """
    left = limit
    while left is None or left > 0:
        size = BATCH if left is None else min(BATCH, left)
        batch = pair_batch(
            db,
            project_id=project_id,
            order=order,
            after=after,
            until=until,
            limit=size,
            on_refused=on_refused,
        )
        yield from batch.pairs
        if batch.read < size:
            return
        after = batch.cursor
        left = None if left is None else left - size


@dataclass(frozen=True, slots=True)
class Batch:
    """read: rows seen, refused ones included; cursor: that of the last one."""

    pairs: Sequence[Placed]
    read: int
    cursor: int


def pair_batch(
    db: Session,
    *,
    project_id: int,
    order: Order,
    after: int,
    until: int | None,
    limit: int,
    on_refused: Refused | None = None,
) -> Batch:
    """The next `limit` pairs after the cursor; see pairs."""
    cursor = Correction.feed_position if order is Order.FEED else Correction.id
    rows = db.execute(
        pair_rows(cursor, project_id)
        .where(cursor > after, *([cursor <= until] if until is not None else []))
        .order_by(cursor)
        .limit(limit)
    ).all()
    pair_of = pair_maker(db, rows)
    found: list[Placed] = []
    for row in rows:
        try:
            found.append(Placed(row.cursor, pair_of(row)))
        except ValueError as error:
            if on_refused is None:
                raise
            on_refused(row.id, str(error))
    return Batch(found, len(rows), rows[-1].cursor if rows else after)


def pair_count(db: Session, *, project_id: int) -> int:
    """How many pairs the project has now."""
    return db.execute(
        select(func.count())
        .select_from(Correction)
        .join(Sample, Sample.id == Correction.sample_id)
        .where(Sample.project_id == project_id, is_live_pair())
    ).scalar_one()


def newest_id(db: Session) -> int:
    """The largest id of any correction, 0 without one."""
    return db.execute(select(func.coalesce(func.max(Correction.id), 0))).scalar_one()


def image_file(sha256: str, kind: str) -> str:
    """Where an export keeps an image, relative to its folder; kind: the format of the image."""
    return f"images/{sha256}.{'jpg' if kind == 'jpeg' else kind}"


def image_kind(file: str) -> str:
    """The format of an image, from where an export keeps it."""
    return file.rpartition(".")[2].replace("jpg", "jpeg")


def pair_rows(cursor: InstrumentedAttribute[Any], project_id: int) -> Select[*tuple[Any, ...]]:
    """The project's live pairs, without their prefixes and images."""
    chosen, rejected = aliased(Segment), aliased(Segment)
    return (
        select(
            Correction.id,
            cursor.label("cursor"),
            Correction.sample_id,
            Correction.parent_id,
            Correction.draft_id,
            Correction.kind,
            Correction.on_policy,
            Correction.created_at,
            chosen.text.label("chosen"),
            rejected.text.label("rejected"),
            chosen.depth,
            (chosen.ends_output & rejected.ends_output).label("ends_output"),
            Project.name.label("project"),
            Sample.source_id,
            Sample.title.label("sample_title"),
            Sample.language,
            Sample.instruction,
            User.name.label("annotator"),
            User.display_name,
            Policy.name.label("policy"),
        )
        .join(Sample, Sample.id == Correction.sample_id)
        .join(Project, Project.id == Sample.project_id)
        .join(User, User.id == Correction.annotator_id)
        .join(chosen, chosen.id == Correction.chosen_id)
        .join(rejected, rejected.id == Correction.rejected_id)
        .outerjoin(Policy, Policy.id == rejected.policy_id)
        .where(Sample.project_id == project_id, is_live_pair())
    )


def pair_maker(db: Session, rows: Sequence[Row[Any]]) -> Callable[[Row[Any]], Pair]:
    """Makes pairs of these rows of pair_rows; raises ValueError for one that can be none."""
    above = _segments_above(db, {row.parent_id for row in rows})
    images = _images(db, {row.sample_id for row in rows})
    return lambda row: _pair(row, above, images.get(row.sample_id, _NO_IMAGES))


@dataclass(frozen=True, slots=True)
class _Images:
    """Of a sample, in order: what they are called by content, and as files of an export."""

    sha256: tuple[str, ...]
    files: tuple[str, ...]


_NO_IMAGES = _Images((), ())


def _segments_above(db: Session, parents: set[int]) -> Mapping[int, tuple[int | None, str]]:
    """Every segment from the given ones up to their roots: id to (parent, text)."""
    walk = (
        select(Segment.id, Segment.parent_id)
        .where(Segment.id == _any_of(parents))
        .cte("walk", recursive=True)
    )
    # UNION, not UNION ALL: paths that meet are followed once from there on.
    walk = walk.union(
        select(Segment.id, Segment.parent_id).join(walk, Segment.id == walk.c.parent_id)
    )
    rows = db.execute(
        select(Segment.id, Segment.parent_id, Segment.text).join(walk, walk.c.id == Segment.id)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def _images(db: Session, samples: set[int]) -> Mapping[int, _Images]:
    rows = db.execute(
        select(SampleImage.sample_id, Image.sha256, Image.format)
        .join(Image, Image.sha256 == SampleImage.sha256)
        .where(SampleImage.sample_id == _any_of(samples))
        .order_by(SampleImage.sample_id, SampleImage.position)
    ).all()
    found: dict[int, _Images] = {}
    for sample_id, group in groupby(rows, key=itemgetter(0)):
        shown = [(row[1], row[2]) for row in group]
        found[sample_id] = _Images(
            tuple(sha256 for sha256, _ in shown),
            tuple(image_file(sha256, kind) for sha256, kind in shown),
        )
    return found


def _any_of(ids: set[int]) -> ColumnElement[Any]:
    # One array, not a parameter each: 256 of them cost more to write and parse than to look up.
    return any_(literal(sorted(ids), ARRAY(BigInteger)))


def _pair(row: Row[Any], above: Mapping[int, tuple[int | None, str]], images: _Images) -> Pair:
    return Pair(
        pair_id=row.id,
        project=row.project,
        sample=row.source_id,
        images=images.sha256,
        image_files=images.files,
        instruction=row.instruction,
        prefix=_text(row.parent_id, above),
        chosen=row.chosen,
        rejected=row.rejected,
        ends_output=row.ends_output,
        on_policy=row.on_policy,
        position=row.depth - 1,
        annotator=row.annotator,
        policy=row.policy,
        kind=row.kind.value,
        created_at=row.created_at,
    )


def _text(leaf: int, above: Mapping[int, tuple[int | None, str]]) -> str:
    texts: list[str] = []
    at: int | None = leaf
    while at is not None:
        at, text = above[at]
        texts.append(text)
    texts.reverse()
    return "".join(texts)
