"""Lineage: where a text was first written, and whether one policy wrote it where it is now."""

from collections.abc import Sequence
from hashlib import md5
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.corrections import is_on_policy
from app.domain.spans import Slice
from app.domain.tree import Origin


class TextInPlace(NamedTuple):
    """A text in its present position.

    slices: where its parts were first written.
    prefix: the text before it.
    """

    slices: Sequence[Slice]
    text: str
    prefix: str


# Of each slice: the segment that its text was first written in, and the digest of all before it.
# LATERAL with OFFSET 0: each segment by its key.
_WRITTEN = text(
    """
    WITH RECURSIVE asked AS (
        SELECT number, id, start
        FROM unnest(CAST(:ids AS bigint[]), CAST(:starts AS bigint[]))
            WITH ORDINALITY AS asked (id, start, number)
    ), source (number, id, copied_from) AS (
        SELECT asked.number, s.id, s.copied_from FROM asked JOIN segments s ON s.id = asked.id
        UNION ALL
        SELECT source.number, s.id, s.copied_from FROM source CROSS JOIN LATERAL (
            SELECT id, copied_from FROM segments WHERE id = source.copied_from OFFSET 0
        ) AS s
    ), above (number, parent_id, depth, text) AS (
        SELECT source.number, s.parent_id, s.depth, left(s.text, CAST(asked.start AS int))
        FROM source
        JOIN asked ON asked.number = source.number
        JOIN segments s ON s.id = source.id
        WHERE source.copied_from IS NULL
        UNION ALL
        SELECT above.number, s.parent_id, s.depth, s.text FROM above CROSS JOIN LATERAL (
            SELECT parent_id, depth, text FROM segments WHERE id = above.parent_id OFFSET 0
        ) AS s
    ), before AS (
        SELECT number, md5(string_agg(text, '' ORDER BY depth)) AS digest
        FROM above GROUP BY number
    )
    SELECT before.digest, s.policy_id, s.regeneration_id, s.origin, p.engine
    FROM before
    JOIN source ON source.number = before.number AND source.copied_from IS NULL
    JOIN segments s ON s.id = source.id
    LEFT JOIN policies p ON p.id = s.policy_id
    ORDER BY before.number
    """
)


def wrote_here(db: Session, texts: Sequence[TextInPlace]) -> list[bool]:
    """For each text, whether one policy (not the replay) wrote it itself directly after its prefix.

    A half keeps the position in which it was written, a copy may have moved, a joined text may have
    two authors.
    """
    slices = [one for text_here in texts for one in text_here.slices]
    if not slices:
        return [False] * len(texts)
    asked = {"ids": [one.segment for one in slices], "starts": [one.start for one in slices]}
    rows = iter(db.execute(_WRITTEN, asked).all())
    found = []
    for text_here in texts:
        writers, at, here = set(), 0, True
        for one in text_here.slices:
            row = next(rows)
            before = text_here.prefix + text_here.text[:at]
            here = (
                here
                and is_on_policy(Origin(row.origin), False, row.engine)
                and row.digest == md5(before.encode(), usedforsecurity=False).hexdigest()
            )
            # Imported text without a policy is one model's all the same.
            writers.add((row.policy_id, None if row.policy_id else row.regeneration_id))
            at += one.end - one.start
        found.append(here and len(writers) == 1)
    return found
