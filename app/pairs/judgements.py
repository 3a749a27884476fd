"""Judgements of a model's segments that are no correction: accepted as it stands, or deleted.

Accepted: the verdict "accepted" on a segment that a model wrote and that still stands in the
draft's text. One that a correction or a regeneration before it has displaced says nothing any
more: the annotator may have wanted it gone. Copies of it below a correction stand for it.

Rejected without another text in its place: a segment that a model wrote and the annotator deleted,
until the deletion is undone. Not while the very same text stands there again: a model that is asked
the same may answer the same. The first segment of a run that was stopped, superseded or replaced is
no rejection: people regenerate to see another text, not because this one is wrong.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Row, any_, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import BigInteger

from app.domain.corrections import Verdict, is_on_policy
from app.domain.formats import Judgement
from app.domain.tree import Origin
from app.models import Correction
from app.models.live import is_live_pair
from app.pairs.paths import DraftPath, PathSegment, draft_paths

# Each deleted segment with the text before it, in pieces by depth; its own is the last.
_DELETED = text(
    """
    WITH RECURSIVE deleted AS (
        SELECT DISTINCT ON (r.draft_id, s.id) r.draft_id, s.id, r.created_at, r.version
        FROM revisions r
        JOIN segments s ON s.id = r.segment_id
        WHERE r.draft_id = ANY(CAST(:drafts AS bigint[])) AND r.action = 'delete'
          AND r.undone_by IS NULL AND s.origin = 'model'
        ORDER BY r.draft_id, s.id, r.version DESC
    ), walk (draft_id, deleted_id, id) AS (
        SELECT draft_id, id, id FROM deleted
        UNION ALL
        SELECT walk.draft_id, walk.deleted_id, s.parent_id
        FROM walk JOIN segments s ON s.id = walk.id
        WHERE s.parent_id IS NOT NULL
    )
    SELECT d.draft_id, d.id, d.created_at, s.text, s.depth, leaf.parent_id,
           leaf.copied_from IS NOT NULL AS copied, p.name AS policy, p.engine
    FROM walk
    JOIN deleted d ON d.draft_id = walk.draft_id AND d.id = walk.deleted_id
    JOIN segments s ON s.id = walk.id
    JOIN segments leaf ON leaf.id = d.id
    LEFT JOIN policies p ON p.id = leaf.policy_id
    WHERE s.parent_id IS NOT NULL
    ORDER BY d.draft_id, d.id, s.depth
    """
)


def judgements(db: Session, ids: Sequence[int]) -> Iterator[tuple[DraftPath, Judgement]]:
    """The judgements of these drafts, by draft, in a draft by place.

    A batch of drafts costs two queries more than their texts: the deletions, and the pairs.
    """
    deleted, paired = _deleted(db, list(ids)), _paired(db, list(ids))
    for draft in draft_paths(db, ids):
        found = [*_accepted(draft, paired), *_rejected(draft, deleted[draft.id], paired)]
        for judgement in sorted(found, key=attrgetter("position", "segment_id")):
            yield draft, judgement


def _accepted(draft: DraftPath, paired: set[tuple[int, int]]) -> Iterator[Judgement]:
    prefix = ""
    for position, segment in enumerate(draft.segments):
        if (
            segment.origin is Origin.MODEL
            and segment.verdict is Verdict.ACCEPTED
            and segment.judged_at is not None
        ):
            yield Judgement(
                draft_id=draft.id,
                segment_id=segment.id,
                project=draft.project,
                sample=draft.sample,
                images=draft.images,
                image_files=draft.image_files,
                context=draft.context,
                instruction=draft.instruction,
                prefix=prefix,
                text=segment.text,
                accepted=True,
                ends_output=segment.ends_output,
                on_policy=segment.on_policy,
                paired=(draft.id, segment.id) in paired,
                position=position,
                annotator=draft.annotator,
                policy=segment.policy,
                created_at=segment.judged_at,
            )
        prefix += segment.text


def _rejected(
    draft: DraftPath, deleted: Sequence[Sequence[Row[Any]]], paired: set[tuple[int, int]]
) -> Iterator[Judgement]:
    after = {segment.parent_id: segment for segment in draft.segments}
    for pieces in deleted:
        last = pieces[-1]
        if _stands(after.get(last.parent_id), last.text):
            continue
        yield Judgement(
            draft_id=draft.id,
            segment_id=last.id,
            project=draft.project,
            sample=draft.sample,
            images=draft.images,
            image_files=draft.image_files,
            context=draft.context,
            instruction=draft.instruction,
            prefix="".join(piece.text for piece in pieces[:-1]),
            text=last.text,
            accepted=False,
            ends_output=False,
            on_policy=is_on_policy(Origin.MODEL, last.copied, last.engine),
            paired=(draft.id, last.id) in paired,
            position=last.depth - 1,
            annotator=draft.annotator,
            policy=last.policy,
            created_at=last.created_at,
        )


def _stands(segment: PathSegment | None, deleted: str) -> bool:
    """The deleted text stands at its old place after all."""
    return segment is not None and segment.text == deleted


def _deleted(db: Session, drafts: list[int]) -> Mapping[int, list[list[Row[Any]]]]:
    found: defaultdict[int, list[list[Row[Any]]]] = defaultdict(list)
    rows = db.execute(_DELETED, {"drafts": drafts})
    for (draft_id, _), pieces in groupby(rows, key=attrgetter("draft_id", "id")):
        found[draft_id].append(list(pieces))
    return found


def _paired(db: Session, drafts: list[int]) -> set[tuple[int, int]]:
    """Draft and segment for both sides of every pair of these drafts."""
    rows = db.execute(
        select(Correction.draft_id, Correction.chosen_id, Correction.rejected_id).where(
            Correction.draft_id == any_(literal(drafts, ARRAY(BigInteger))), is_live_pair()
        )
    )
    return {(row.draft_id, side) for row in rows for side in (row.chosen_id, row.rejected_id)}
