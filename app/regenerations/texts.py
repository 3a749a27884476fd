"""The texts around a regeneration: what it continues, what it has written, its uncut tail."""

from datetime import timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from app.domain.spans import written_after
from app.domain.tree import Origin
from app.models import Chunk, Regeneration, Segment
from app.regenerations.cutting import cutting_of


def path_text(db: Session, leaf_id: int) -> str:
    """The text from the root to `leaf_id`, both included."""
    found: str = db.scalars(_PATH_TEXT, {"leaf": leaf_id}).one()
    return found


_PATH_TEXT = text(
    """
    WITH RECURSIVE walk AS (
        SELECT parent_id, depth, text FROM segments WHERE id = :leaf
        UNION ALL
        SELECT parent.parent_id, parent.depth, parent.text
        FROM walk JOIN segments AS parent ON parent.id = walk.parent_id
    )
    SELECT string_agg(text, '' ORDER BY depth) FROM walk
    """
)


def written_text(db: Session, regeneration_id: int, since: int = 0) -> str:
    """What a regeneration has written from code point `since` on, cut into segments or not."""
    rows = db.execute(
        select(Chunk.start, Chunk.text)
        .where(
            Chunk.regeneration_id == regeneration_id,
            Chunk.start + func.length(Chunk.text) > since,
        )
        .order_by(Chunk.start)
    )
    return "".join(chunk[max(0, since - start) :] for start, chunk in rows)


def clear_chunks(db: Session, *, older_than: timedelta = timedelta(hours=1)) -> int:
    """Delete chunks of ended regenerations whose text is in segments; returns how many rows.

    A stream that is still open by then finds the segments.
    """
    ended = select(Regeneration.id, Regeneration.cut).where(
        Regeneration.finished_at < func.now() - older_than
    )
    old = ended.subquery()
    gone = db.execute(
        delete(Chunk)
        .where(
            Chunk.regeneration_id == old.c.id,
            Chunk.start + func.length(Chunk.text) <= old.c.cut,
        )
        .returning(Chunk.start),
        execution_options={"synchronize_session": False},
    ).all()
    return len(gone)


def keep_tail(db: Session, run: Regeneration) -> None:
    """Turn the text that is not cut yet into the last segment; a whitespace-only tail is dropped.

    For a regeneration that ends before its text does: what an annotator has read stays and can be
    edited. The caller has locked the row.
    """
    tail = written_text(db, run.id, run.cut)
    if not tail.strip():
        return
    cutting = cutting_of(db, sample_id=run.sample_id, behind_id=run.leaf_id)
    splitter = cutting.splitter(path_text(db, run.leaf_id))
    for piece in [*splitter.feed(tail), *splitter.close()]:
        segment = Segment(
            sample_id=run.sample_id,
            parent_id=run.leaf_id,
            depth=db.scalars(select(Segment.depth).where(Segment.id == run.leaf_id)).one() + 1,
            text=piece.text,
            origin=Origin.MODEL,
            image_index=piece.image_index,
            policy_id=run.policy_id,
            regeneration_id=run.id,
            spans=written_after(
                run.deleted if run.leaf_id == run.anchor_id else None, len(piece.text)
            ),
        )
        db.add(segment)
        db.flush()
        run.leaf_id = segment.id
        run.cut += len(piece.text)
