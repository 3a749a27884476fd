"""Judgements of a model's segments that are not corrections: accepted unchanged, or deleted.

Accepted: the verdict "accepted" on a model's segment that is still in the draft's text. A segment
that an earlier correction or regeneration displaced does not count: the annotator may have wanted
it removed. Copies of it below a correction count in its place.

Rejected without a replacement: a model's segment that the annotator deleted, until the deletion is
undone. It does not count while the same text is there again: a model may repeat its answer. The
first segment of a run that was stopped, superseded or replaced is not a rejection: people
regenerate to see another text, not because this one is wrong.

Where a pair judges the same text after the same prefix, only the pair counts.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.domain.corrections import Verdict, is_on_policy
from app.domain.formats import Judgement
from app.domain.spans import join, read
from app.domain.tree import Origin
from app.exports.draft_texts import DraftPath, draft_paths
from app.exports.pair_sides import Sides
from app.lineage import TextInPlace, wrote_here

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
           leaf.copied_from IS NOT NULL AS copied, leaf.spans, p.name AS policy, p.engine
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
    """The judgements of these drafts, by draft, in text order.

    A batch of drafts costs two queries more than its texts: the deletions, and the pairs.
    """
    deleted, sides = _deleted(db, list(ids)), Sides(db, ids)
    drafts = draft_paths(db, ids)
    for draft in drafts:
        found = [*_accepted(draft, sides), *_rejected(db, draft, deleted[draft.id], sides)]
        for judgement in sorted(found, key=attrgetter("position", "segment_id")):
            yield draft, judgement


def _accepted(draft: DraftPath, sides: Sides) -> Iterator[Judgement]:
    prefix = ""
    for position, segment in enumerate(draft.segments):
        if (
            segment.origin is Origin.MODEL
            and segment.verdict is Verdict.ACCEPTED
            and segment.judged_at is not None
            and not sides.reject(draft.id, prefix, segment.text)
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
                paired=sides.hold(draft.id, segment.id),
                position=position,
                annotator=draft.annotator,
                policy=segment.policy,
                created_at=segment.judged_at,
            )
        prefix += segment.text


def _rejected(
    db: Session, draft: DraftPath, deleted: Sequence[Sequence[Row[Any]]], sides: Sides
) -> Iterator[Judgement]:
    text = "".join(segment.text for segment in draft.segments)
    for pieces in deleted:
        last = pieces[-1]
        prefix = "".join(piece.text for piece in pieces[:-1])
        # The deleted text is at its old place after all.
        if text.startswith(prefix + last.text) or sides.choose(draft.id, prefix, last.text):
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
            prefix=prefix,
            text=last.text,
            accepted=False,
            ends_output=False,
            on_policy=_on_policy(db, last, prefix),
            paired=sides.hold(draft.id, last.id) or sides.reject(draft.id, prefix, last.text),
            position=last.depth - 1,
            annotator=draft.annotator,
            policy=last.policy,
            created_at=last.created_at,
        )


def _on_policy(db: Session, deleted: Row[Any], prefix: str) -> bool:
    if not deleted.copied:
        return is_on_policy(Origin.MODEL, False, deleted.engine)
    spans = read(deleted.spans, segment_id=deleted.id, length=len(deleted.text))
    slices = join(span.text for span in spans)
    return wrote_here(db, [TextInPlace(slices, deleted.text, prefix)])[0]


def _deleted(db: Session, drafts: list[int]) -> Mapping[int, list[list[Row[Any]]]]:
    found: defaultdict[int, list[list[Row[Any]]]] = defaultdict(list)
    rows = db.execute(_DELETED, {"drafts": drafts})
    for (draft_id, _), pieces in groupby(rows, key=attrgetter("draft_id", "id")):
        found[draft_id].append(list(pieces))
    return found
