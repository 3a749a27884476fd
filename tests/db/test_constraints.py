"""Each rule that the schema holds, broken on purpose in SQL and refused."""

import re
from dataclasses import dataclass

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.models import Draft, Segment
from tests.support.factories import add_draft, add_project, add_sample, add_user


@dataclass(frozen=True)
class Scene:
    """Two samples of one annotator; s1..s4 are the segments of the first, t1.. of the second."""

    draft: Draft
    names: dict[str, int]

    def sql(self, statement: str) -> str:
        """The statement with :names replaced; plain SQL, as a careless script would send it."""
        return re.sub(r"\$(\w+)", lambda name: str(self.names[name.group(1)]), statement)


@pytest.fixture
def scene(db: Session) -> Scene:
    user = add_user(db)
    project = add_project(db, user)
    sample, other = add_sample(db, project=project), add_sample(db, project=project)
    draft, other_draft = (
        add_draft(db, sample=sample, user=user),
        add_draft(db, sample=other, user=user),
    )
    names = {
        "user": user.id,
        "project": project.id,
        "sample": sample.id,
        "other": other.id,
        "draft": draft.id,
        "other_draft": other_draft.id,
    }
    for letter, owner in (("s", sample), ("t", other)):
        rows = db.query(Segment).filter_by(sample_id=owner.id).order_by(Segment.depth)
        names |= {f"{letter}{row.depth}": row.id for row in rows}
    human = Segment(
        sample_id=sample.id,
        parent_id=names["s1"],
        depth=2,
        text="## Slide 2\nCorrected.\n\n",
        origin="human",
        author_id=user.id,
    )
    twin = Segment(
        sample_id=sample.id,
        parent_id=names["s1"],
        depth=2,
        text="## Slide 2\nThe chart shows 12 percent.\n\n",
        origin="human",
        author_id=user.id,
    )
    db.add_all([human, twin])
    db.flush()
    names |= {"human": human.id, "twin": twin.id}
    return Scene(draft, names)


PAIR = (
    "INSERT INTO corrections (draft_id, sample_id, annotator_id, parent_id, chosen_id, rejected_id,"
    " kind, on_policy, edited) VALUES "
)
SEGMENT = "INSERT INTO segments (sample_id, parent_id, depth, text, origin, author_id) VALUES "
RUN = (
    "INSERT INTO regenerations (draft_id, sample_id, number, anchor_id, leaf_id, displaced_id,"
    " displaced_depth, state, finished_at) VALUES "
)

REFUSED = {
    "a segment is never updated": "UPDATE segments SET text = 'x' WHERE id = $s1",
    "a segment is never deleted": "DELETE FROM segments WHERE id = $s4",
    "a segment's parent is of its own sample": SEGMENT + "($sample, $t1, 2, 'x', 'model', null)",
    "a segment stands one below its parent": SEGMENT + "($sample, $s1, 3, 'x', 'model', null)",
    "a sample has one root": SEGMENT + "($sample, null, 0, '', 'root', null)",
    "only a root has no parent": SEGMENT + "($sample, null, 0, '', 'model', null)",
    "only a root is empty": SEGMENT + "($sample, $s1, 2, '', 'model', null)",
    "human text has an author": SEGMENT + "($sample, $s1, 2, 'x', 'human', null)",
    "model text has no author": SEGMENT + "($sample, $s1, 2, 'x', 'model', $user)",
    "an origin is a known one": SEGMENT + "($sample, $s1, 2, 'x', 'nobody', null)",
    "the rejected side has the pair's parent": PAIR
    + "($draft, $sample, $user, $s1, $human, $s3, 'rewrite', false, 1)",
    "the chosen side has the pair's parent": PAIR
    + "($draft, $sample, $user, $s1, $s3, $s2, 'rewrite', false, 1)",
    "the sides are two segments": PAIR
    + "($draft, $sample, $user, $s1, $s2, $s2, 'rewrite', false, 1)",
    "the sides are two texts": PAIR
    + "($draft, $sample, $user, $s1, $twin, $s2, 'rewrite', false, 1)",
    "a pair's draft is of its sample": PAIR
    + "($other_draft, $sample, $user, $s1, $human, $s2, 'rewrite', false, 1)",
    "a draft's head is of its sample": "UPDATE drafts SET head_id = $t1 WHERE id = $draft",
    "one draft per annotator and sample": "INSERT INTO drafts (sample_id, user_id, head_id)"
    " VALUES ($sample, $user, $s4)",
    "a sample's head is its own": "UPDATE samples SET head_id = $t4 WHERE id = $sample",
    "one live regeneration per draft": RUN
    + "($draft, $sample, 2, $s1, $s1, $s4, 1, 'queued', null),"
    " ($draft, $sample, 3, $s1, $s1, $s4, 1, 'running', null)",
    "run numbers are not used twice": RUN + "($draft, $sample, 2, $s1, $s1, $s4, 1, 'done', now()),"
    " ($draft, $sample, 2, $s1, $s1, $s4, 1, 'done', now())",
    "a final run has an end": RUN + "($draft, $sample, 2, $s1, $s1, $s4, 1, 'done', null)",
    "a live run has no end": RUN + "($draft, $sample, 2, $s1, $s1, $s4, 1, 'queued', now())",
    "a run's anchor is of its sample": RUN
    + "($draft, $sample, 2, $t1, $s1, $s4, 1, 'queued', null)",
    "a verdict is a known one": "INSERT INTO verdicts (draft_id, segment_id, verdict)"
    " VALUES ($draft, $s1, 'maybe')",
}


@pytest.mark.parametrize("rule", REFUSED)
def test_the_schema_refuses_what_breaks(rule: str, db: Session, scene: Scene) -> None:
    with pytest.raises(IntegrityError), db.begin_nested():
        db.execute(text(scene.sql(REFUSED[rule])))


@pytest.mark.parametrize(
    "change",
    [
        "chosen_id = $twin",
        "rejected_id = $human",
        "kind = 'insert'",
        "on_policy = true",
        "policy_id = 1",
    ],
)
def test_a_stored_pair_is_never_edited(change: str, db: Session, scene: Scene) -> None:
    db.execute(
        text(scene.sql(PAIR + "($draft, $sample, $user, $s1, $human, $s2, 'rewrite', false, 1)"))
    )
    with pytest.raises(IntegrityError), db.begin_nested():
        db.execute(text(scene.sql(f"UPDATE corrections SET {change}")))
    with pytest.raises(IntegrityError), db.begin_nested():
        db.execute(text("DELETE FROM corrections"))


def test_a_pair_can_be_retracted(db: Session, scene: Scene) -> None:
    db.execute(
        text(scene.sql(PAIR + "($draft, $sample, $user, $s1, $human, $s2, 'rewrite', false, 1)"))
    )
    db.execute(text("UPDATE corrections SET retracted_at = now(), retract_reason = 'a mistake'"))


def test_the_audit_log_is_append_only(db: Session) -> None:
    db.execute(text("INSERT INTO audit_events (action, object) VALUES ('log in', 'user 1')"))
    for statement in ("UPDATE audit_events SET action = 'x'", "DELETE FROM audit_events"):
        with pytest.raises(IntegrityError), db.begin_nested():
            db.execute(text(statement))
