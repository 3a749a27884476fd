"""Let pairs rest while the draft's text does not hold theirs; keep what each text stands for.

Texts and ids stay. What a person wrote, what was cut or joined, and what followed a deletion gets
its spans from the corrections and steps that there are; then pairs whose text has gone rest.
"""

import json
from collections import defaultdict

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_BATCH = 200
_UNDONE = ("The annotator undid it.", "The annotator went back to the model's text.")
_WORKED_ON = sa.text(
    """
    SELECT DISTINCT sample_id FROM drafts WHERE version > 1 AND sample_id > :after
    ORDER BY sample_id LIMIT :batch
    """
)
_SEGMENTS = sa.text(
    """
    SELECT id, parent_id, text, origin, copied_from, regeneration_id FROM segments
    WHERE sample_id = ANY(CAST(:samples AS bigint[])) ORDER BY id
    """
)
_PAIRS = sa.text(
    """
    SELECT id, draft_id, chosen_id, rejected_id, kind, superseded_by, retracted_at FROM corrections
    WHERE sample_id = ANY(CAST(:samples AS bigint[])) ORDER BY id
    """
)
_STEPS = sa.text(
    """
    SELECT r.action, r.segment_id, r.previous_head_id, r.correction_id, s.parent_id, s.origin,
           run.leaf_id AS previous_leaf_id
    FROM revisions r
    JOIN drafts d ON d.id = r.draft_id
    JOIN segments s ON s.id = r.segment_id
    LEFT JOIN regenerations run ON run.id = r.previous_regeneration_id
    WHERE d.sample_id = ANY(CAST(:samples AS bigint[]))
      AND (r.action IN ('keep', 'correct') OR r.action = 'delete' AND r.undone_by IS NULL)
    """
)
_LEAVES = sa.text(
    """
    SELECT d.id, coalesce(run.leaf_id, d.head_id) AS leaf_id,
           array(SELECT segment_id FROM verdicts v WHERE v.draft_id = d.id) AS judged
    FROM drafts d LEFT JOIN regenerations run ON run.id = d.regeneration_id
    WHERE d.sample_id = ANY(CAST(:samples AS bigint[]))
    """
)
_GIVE = sa.text(
    """
    UPDATE segments SET spans = new.spans
    FROM unnest(CAST(:ids AS bigint[]), CAST(CAST(:spans AS text[]) AS jsonb[])) AS new (id, spans)
    WHERE segments.id = new.id
    """
)
_WAITING = sa.text(
    """
    UPDATE regenerations SET deleted = CAST(:mark AS jsonb)
    WHERE anchor_id = :anchor AND leaf_id = :anchor
      AND state IN ('queued', 'running', 'waiting')
    """
)


def upgrade() -> None:
    stored = postgresql.JSONB(none_as_null=True)
    op.add_column("segments", sa.Column("spans", stored, nullable=True))
    op.add_column("regenerations", sa.Column("deleted", stored, nullable=True))
    op.add_column("corrections", sa.Column("rested_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "revisions", sa.Column("rested", sa.BigInteger(), server_default="0", nullable=False)
    )
    connection = op.get_bind()
    # What the annotator took back rests: an admin's word alone is for good.
    connection.execute(
        sa.text(
            "UPDATE corrections SET rested_at = retracted_at, retracted_at = NULL,"
            " retract_reason = NULL WHERE retract_reason = ANY(CAST(:reasons AS text[]))"
        ),
        {"reasons": list(_UNDONE)},
    )
    # The trigger keeps texts; these rows only learn what theirs is.
    op.execute("ALTER TABLE segments DISABLE TRIGGER segments_are_immutable")
    after = 0
    while samples := connection.scalars(_WORKED_ON, {"after": after, "batch": _BATCH}).all():
        _reconcile(connection, samples)
        after = samples[-1]
    op.execute("ALTER TABLE segments ENABLE TRIGGER segments_are_immutable")
    _index("superseded_by IS NULL AND rested_at IS NULL", "rested_at IS NOT NULL", [])


def downgrade() -> None:
    op.get_bind().execute(
        sa.text(
            "UPDATE corrections SET retracted_at = rested_at, retract_reason = :reason"
            " WHERE rested_at IS NOT NULL AND retracted_at IS NULL"
        ),
        {"reason": _UNDONE[0]},
    )
    _index("superseded_by IS NULL", "kind = 'delete'", ["kind", "draft_id", "chosen_id"])
    op.drop_column("revisions", "rested")
    op.drop_column("corrections", "rested_at")
    op.drop_column("regenerations", "deleted")
    op.drop_column("segments", "spans")


def _index(counts, left, include):
    for name in ("ix_corrections_policy_id", "ix_corrections_not_in_feed"):
        op.drop_index(name, table_name="corrections")
    op.drop_index("ix_corrections_in_feed", table_name="corrections")
    op.create_index(
        "ix_corrections_policy_id",
        "corrections",
        ["policy_id"],
        postgresql_include=include or None,
        postgresql_where=sa.text(f"retracted_at IS NULL AND {counts}"),
    )
    op.create_index(
        "ix_corrections_not_in_feed",
        "corrections",
        ["id"],
        postgresql_where=sa.text(f"feed_position IS NULL AND retracted_at IS NULL AND {counts}"),
    )
    op.create_index(
        "ix_corrections_in_feed",
        "corrections",
        ["id"],
        postgresql_where=sa.text(
            "feed_position IS NOT NULL AND "
            f"(retracted_at IS NOT NULL OR superseded_by IS NOT NULL OR {left})"
        ),
    )


def _reconcile(connection, samples):
    asked = {"samples": list(samples)}
    tree = {row.id: row for row in connection.execute(_SEGMENTS, asked)}
    pairs = connection.execute(_PAIRS, asked).all()
    steps = connection.execute(_STEPS, asked).all()
    spans = _spans(tree, pairs, steps)
    if spans:
        values = {"ids": [*spans], "spans": [json.dumps(one) for one in spans.values()]}
        connection.execute(_GIVE, values)
    for step in steps:
        if step.action == "delete" and step.correction_id is None and step.origin == "model":
            mark = [_deletion([[step.segment_id, 0, len(tree[step.segment_id].text)]])]
            connection.execute(_WAITING, {"mark": json.dumps(mark), "anchor": step.parent_id})
    _rest(connection, asked, tree, spans, pairs)


def _spans(tree, pairs, steps):
    """The spans of the segments that are not a model's text as it is, by id."""
    of = {
        pair.chosen_id: (pair.kind, pair.rejected_id)
        for pair in reversed(pairs)
        if pair.kind in ("rewrite", "insert")
    }
    deleted = defaultdict(list)
    for pair in pairs:
        if pair.kind == "delete" and pair.retracted_at is None and pair.superseded_by is None:
            deleted[pair.chosen_id].append(pair.rejected_id)
    children = defaultdict(list)
    for row in tree.values():
        children[row.parent_id].append(row)
    for step in steps:
        if step.action == "delete" and step.correction_id is None and step.origin == "model":
            for row in children[step.parent_id]:
                if row.regeneration_id and row.copied_from is None and row.id > step.segment_id:
                    deleted[row.id].append(step.segment_id)
    replaced = {step.segment_id: step for step in steps if step.action != "delete"}
    spans = {}
    for row in tree.values():
        if row.origin == "root":
            continue
        own = None
        if row.copied_from is not None:
            own = _of_copy(tree, spans, children, row)
        elif row.origin == "human":
            own = [_of_human(tree, spans, of, replaced, row)]
        if deleted[row.id]:
            marks = [_deletion(_slices(tree, spans, one)) for one in deleted[row.id]]
            own = marks + (own or _all(tree, spans, row.id))
        if own is not None:
            spans[row.id] = own
    return spans


def _of_human(tree, spans, of, replaced, row):
    length = len(row.text)
    if row.id in of:
        kind, rejected = of[row.id]
        how = "changed" if kind == "rewrite" else "inserted"
        return [how, 0, 0, length, _slices(tree, spans, rejected), False]
    step = replaced.get(row.id)
    at = (step.previous_leaf_id or step.previous_head_id) if step else None
    while at is not None and tree[at].parent_id != row.parent_id:
        at = tree[at].parent_id
    base, tied = [], None
    for how, segment, start, end, stands_for, is_tied in _all(tree, spans, at) if at else []:
        if how != "deleted" and tied is None:
            tied = is_tied
        if how == "kept":
            base.append([segment, start, end])
        elif how != "inserted":
            base += stands_for
    return ["changed" if base or tied else "inserted", 0, 0, length, base, bool(tied)]


def _of_copy(tree, spans, children, row):
    source = tree[row.copied_from]
    if row.text == source.text:
        return _all(tree, spans, source.id) if source.id in spans else None
    above = tree[row.parent_id]
    if above.copied_from == source.id and above.text + row.text == source.text:
        return _cut(_all(tree, spans, source.id), len(above.text), None)
    if source.text.startswith(row.text) and any(
        below.copied_from == source.id and row.text + below.text == source.text
        for below in children[row.id]
    ):
        return _cut(_all(tree, spans, source.id), 0, len(row.text))
    if row.text.endswith(source.text) and source.parent_id in tree:
        first = tree[source.parent_id]
        if first.text + source.text == row.text:
            return _all(tree, spans, first.id) + _all(tree, spans, source.id)
    for second in children[source.id]:
        if source.text + second.text == row.text:
            return _all(tree, spans, source.id) + _all(tree, spans, second.id)
    return None if row.origin == "model" else [["inserted", 0, 0, len(row.text), [], False]]


def _all(tree, spans, segment):
    """With the segment's own id for its own text."""
    own = spans.get(segment, [["kept", 0, 0, len(tree[segment].text), [], False]])
    return [
        [how, at or (segment if end else 0), start, end, of, tied]
        for how, at, start, end, of, tied in own
    ]


def _slices(tree, spans, segment):
    return [[at, start, end] for _, at, start, end, _, _ in _all(tree, spans, segment) if end]


def _deletion(of):
    return ["deleted", 0, 0, 0, of, False]


def _cut(spans, start, stop):
    """The spans of the text between two code points; stop None: to the end."""
    found, at = [], 0
    for how, segment, first, last, of, tied in spans:
        begin, end = max(at, start), at + last - first
        if stop is not None:
            end = min(end, stop)
        if begin < end:
            whole = begin == at
            found.append(
                [
                    how,
                    segment,
                    first + begin - at,
                    first + end - at,
                    of if whole else [],
                    tied if whole or how == "kept" else True,
                ]
            )
        elif first == last and start <= at and (stop is None or at < stop):
            found.append([how, segment, first, last, of, tied])
        at += last - first
    return found


def _rest(connection, asked, tree, spans, pairs):
    """Pairs whose text is not in the draft's rest; deletions without a verdict do, too."""
    stands, judged = {}, {}
    for draft in connection.execute(_LEAVES, asked):
        path, at = [], draft.leaf_id
        while at is not None and tree[at].origin != "root":
            path.append(at)
            at = tree[at].parent_id
        slices = []
        for segment in reversed(path):
            slices += _slices(tree, spans, segment)
        stands[draft.id] = _joined(slices)
        judged[draft.id] = set(draft.judged)
    gone = [
        pair.id
        for pair in pairs
        if pair.superseded_by is None
        and pair.retracted_at is None
        and not (
            all(
                any(
                    there[0] == one[0] and there[1] <= one[1] and one[2] <= there[2]
                    for there in stands[pair.draft_id]
                )
                for one in _slices(tree, spans, pair.chosen_id)
            )
            and (pair.kind != "delete" or pair.chosen_id in judged[pair.draft_id])
        )
    ]
    connection.execute(
        sa.text(
            "UPDATE corrections SET rested_at = coalesce(rested_at, now())"
            " WHERE id = ANY(CAST(:ids AS bigint[]))"
        ),
        {"ids": gone},
    )


def _joined(slices):
    found = []
    for one in slices:
        if found and found[-1][0] == one[0] and found[-1][2] == one[1]:
            found[-1] = [one[0], found[-1][1], one[2]]
        else:
            found.append(one)
    return found
