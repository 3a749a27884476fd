"""Each filter in SQL: what it lets through, what it keeps back, and that the order is one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.corrections import Kind
from app.domain.filters import PairFilter, parse
from app.exports.selection import count_pairs, project_ids, select_pairs
from app.models import Correction, Draft, Project, now
from app.models.live import is_live_pair
from app.refusals import NotFound
from tests.support.factories import add_policy, add_project, add_sample, add_user
from tests.support.pairing import add_pair

Ask = Callable[..., list[str]]


@pytest.fixture
def project(db: Session) -> Project:
    return add_project(db, name="lectures")


@pytest.fixture
def ask(db: Session, project: Project) -> Ask:
    """The pairs that a filter asks for, by the names of the scene."""
    policy = add_policy(db)
    policy.name, policy.round = "late", 3
    ann, bob = add_user(db, name="ann"), add_user(db, name="bob")
    one = add_sample(db, project=project, policy=policy)
    two = add_sample(db, project=project)
    two.language = "zh"
    two.extra = {"tags": ["math", "term 1"], "term": "x"}
    scene = {
        "first": add_pair(db, sample=one, number=1, text="## Slide 1\nHello.\n\n", user=ann),
        "again": add_pair(db, sample=one, number=1, text="## Slide 1\nHi.\n\n", user=bob),
        "third": add_pair(
            db, sample=one, number=3, text="## Slide 3\nThe table has four rows.\n\n", user=ann
        ),
        "other": add_pair(db, sample=two, number=4, text="Thanks!", user=bob),
    }
    gone = add_pair(db, sample=two, number=2, text="Gone.\n\n", user=ann)
    gone.retracted_at = now()
    db.flush()
    # Rows of corrections are never edited: the scene is set where the rule does not look.
    db.execute(text("ALTER TABLE corrections DISABLE TRIGGER corrections_rules"))
    scene["third"].on_policy = False
    scene["third"].created_at = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
    scene["other"].created_at = datetime(2026, 11, 21, tzinfo=UTC)
    scene["other"].kind = Kind.INSERT
    db.get_one(Draft, scene["other"].draft_id).finished_at = now()
    db.flush()
    db.execute(text("ALTER TABLE corrections ENABLE TRIGGER corrections_rules"))
    names = {pair.id: name for name, pair in scene.items()}

    def found(**given: object) -> list[str]:
        wanted = parse(
            (name, str(one))
            for name, value in given.items()
            for one in (value if isinstance(value, list) else [value])
        )
        selection = select_pairs(db, wanted, [project.id])
        assert count_pairs(db, wanted, [project.id]) == len(selection)
        return [names[pair_id] for pair_id in selection.ids]

    return found


ALL = ["first", "again", "third", "other"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ALL),
        ({"policy": "late"}, ["first", "again", "third"]),
        ({"round": 3}, ["first", "again", "third"]),
        ({"round": 2}, []),
        ({"policy": "late", "round": 2}, []),
        ({"annotator": "ann"}, ["first", "third"]),
        ({"annotator": ["ann", "bob"]}, ALL),
        ({"kind": "insert"}, ["other"]),
        ({"kind": ["insert", "rewrite"]}, ALL),
        ({"on_policy": "false"}, ["third"]),
        ({"on_policy": "true"}, ["first", "again", "other"]),
        ({"reviewed": "true"}, ["other"]),
        ({"reviewed": "false"}, ["first", "again", "third"]),
        ({"until": "2026-11-20"}, ["third"]),
        ({"until": "9999-12-31"}, ALL),
        ({"since": "2026-11-21", "until": "2026-11-21"}, ["other"]),
        ({"min_position": 2}, ["third", "other"]),
        ({"max_position": 0}, ["first", "again"]),
        ({"min_position": 1, "max_position": 2}, ["third"]),
        # "three" to "four": five characters out, four in, less what they share.
        ({"max_edit": 7}, ["third"]),
        ({"min_edit": 8}, ["first", "again", "other"]),
        ({"language": "ZH"}, ["other"]),
        ({"tag": "math"}, ["other"]),
        ({"tag": ["none", "term 1"]}, ["other"]),
        ({"tag": "term"}, []),
        ({"newest_only": "true"}, ["again", "third", "other"]),
        ({"limit_per_sample": 1}, ["third", "other"]),
        ({"limit_per_sample": 2, "newest_only": "yes"}, ["again", "third", "other"]),
        # Counted after everything else: the newest of ann's, not ann's among the newest.
        ({"limit_per_sample": 1, "annotator": "bob"}, ["again", "other"]),
        ({"newest_only": "true", "annotator": "ann"}, ["first", "third"]),
    ],
)
def test_a_filter_lets_through_what_it_says(
    ask: Ask, given: dict[str, object], expected: list[str]
) -> None:
    assert ask(**given) == expected


def test_what_was_taken_back_is_counted_apart(db: Session, project: Project, ask: Ask) -> None:
    assert len(select_pairs(db, PairFilter(), [project.id]).taken_back) == 1
    by_bob = select_pairs(db, parse([("annotator", "bob")]), [project.id])
    assert len(by_bob.taken_back) == 0


def test_several_projects_are_one_wish_and_a_wrong_name_is_none(
    db: Session, project: Project
) -> None:
    other = add_project(db, name="scans")
    for each in (project, other, add_project(db, name="third")):
        add_pair(db, sample=add_sample(db, project=each), number=1, text="Other.\n\n")
    wanted = parse([("project", "scans"), ("project", "lectures")])
    assert project_ids(db, wanted) == sorted([project.id, other.id])
    assert len(select_pairs(db, wanted, project_ids(db, wanted))) == 2
    with pytest.raises(NotFound, match="nowhere"):
        project_ids(db, parse([("project", "nowhere")]))


def test_only_pairs_that_count_are_selected(db: Session, project: Project, ask: Ask) -> None:
    live = set(db.scalars(select(Correction.id).where(is_live_pair())))
    assert set(select_pairs(db, PairFilter(), [project.id]).ids) <= live


def test_a_day_is_one_in_utc(db: Session, project: Project, ask: Ask) -> None:
    today = datetime.now(UTC).date()
    assert ask(since=today - timedelta(days=1)) == ["first", "again"]
