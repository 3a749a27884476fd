"""Segments are cut while the text is being written, and never otherwise than from the whole."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app import regenerations
from app.domain.certainty import Token
from app.domain.segments import Rule, RuleKind, Splitter
from app.models import Draft, Project, Regeneration, RunState, Sample, Segment, now
from app.regenerations import Ending, Outcome
from tests.support.factories import add_draft, add_project, add_sample, add_user
from worker.streams import Release, Stream

LEASE_S = 60.0
PARTS = st.sampled_from(
    [
        "## Slide 2\n",
        "## Aims\n",
        "\n",
        "\n\n",
        "\r\n",
        "One word. ",
        "第三页：",
        "好。",
        "```\n",
        "a",
        " ",
    ]
)
TEXTS = st.lists(PARTS, min_size=1, max_size=25).map("".join)
# What happens between two portions of text.
EVENTS = st.sampled_from(["write", "write", "wait", "die", "hand on", "commit unheard"])


class Attempt:
    """A worker's part in one process, without its loop: the text comes as the test says.

    lag: the tokens of a portion come with the portion so many after it. None: there are none.
    """

    def __init__(self, db: Session, run_id: int, lag: int | None = None) -> None:
        self.db = db
        self.lag = lag
        self.late: list[tuple[Token, ...]] = []
        self.at = 0
        work = regenerations.start(
            db,
            regeneration_id=run_id,
            worker="test",
            policy_id=regenerations.register_policy(db, name="replay", engine="replay"),
            lease_s=LEASE_S,
        )
        assert work is not None
        self.stream = Stream(work)

    def feed(self, text: str) -> None:
        if self.lag is None:
            self.stream.feed(text)
            return
        places = range(self.at, self.at + len(text))
        self.at += len(text)
        self.late.append(tuple(Token(place, place + 1, -1.0) for place in places))
        self.stream.feed(text, self.late.pop(0) if len(self.late) > self.lag else ())

    def write(self, *, heard: bool = True) -> None:
        portion = self.stream.portion()
        outcome = regenerations.append(self.db, [portion], lease_s=LEASE_S)
        if heard:
            assert outcome == {self.stream.id: Outcome.WRITTEN}
            self.stream.wrote(portion)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(RuleKind),
    st.lists(st.tuples(TEXTS, EVENTS), min_size=1, max_size=8),
    st.sampled_from(["Before.\n\n", "## Slide 1\nBefore.\n", "Before, in the same line", ""]),
    st.none() | st.integers(0, 2),
)
def test_whatever_happens_meanwhile_the_segments_are_those_of_the_whole_text(
    db: Session,
    kind: RuleKind,
    story: list[tuple[str, str]],
    before: str,
    lag: int | None,
) -> None:
    run = _request(db, kind, before)
    attempt = Attempt(db, run.id, lag)
    whole = ""
    for said, event in story:
        attempt.feed(said)
        whole += said
        match event:
            case "write":
                attempt.write()
            case "commit unheard":
                attempt.write(heard=False)
            case "die":
                run.lease_until = now().replace(year=2020)
                db.flush()
                regenerations.recover(db)
                run.failures = 0
                db.flush()
                whole, attempt = _next(db, run, lag)
            case "hand on":
                attempt.stream.hand_back(Release())
                attempt.write()
                regenerations.give_back(db, [(run.id, run.attempt)])
                whole, attempt = _next(db, run, lag)
    attempt.stream.end(Ending("stop"))
    attempt.write()
    db.refresh(run)
    assert run.state is RunState.DONE
    assert _segments(db, run) == _expected(whole, kind, before)


def test_a_rule_changed_between_two_attempts_goes_on_from_the_last_segment(db: Session) -> None:
    run = _request(db, RuleKind.PARAGRAPHS, "Before.\n\n")
    attempt = Attempt(db, run.id)
    attempt.stream.feed("One.\n\nTwo.\n\nThree. ")
    attempt.write()
    regenerations.give_back(db, [(run.id, 1)])
    _project(db, run).rule = RuleKind.SLIDES
    db.flush()
    _, attempt = _next(db, run)
    attempt.stream.feed("Still three.\n\nFour.\n## Slide 2\nFive.")
    attempt.stream.end(Ending("stop"))
    attempt.write()
    assert _segments(db, run) == [
        "One.\n\n",
        "Two.\n\n",
        "Three. Still three.\n\nFour.\n",
        "## Slide 2\nFive.",
    ]


def _next(db: Session, run: Regeneration, lag: int | None = None) -> tuple[str, Attempt]:
    db.refresh(run)
    attempt = Attempt(db, run.id, lag)
    return attempt.stream.work.kept, attempt


def _expected(whole: str, kind: RuleKind, before: str) -> list[str]:
    splitter = Splitter(Rule(kind), before=before)
    return [piece.text for piece in splitter.feed(whole) + splitter.close()]


def _request(db: Session, kind: RuleKind, before: str) -> Regeneration:
    user = add_user(db)
    project = add_project(db, user)
    project.rule = kind
    sample = add_sample(
        db, project=project, texts=[before] if before else [], ends_output=False, images=3
    )
    draft: Draft = add_draft(db, sample=sample, user=user)
    depth = db.get_one(Segment, draft.head_id).depth
    return regenerations.request(
        db,
        draft=draft,
        anchor_id=draft.head_id,
        displaced_id=draft.head_id,
        displaced_depth=depth,
    )


def _project(db: Session, run: Regeneration) -> Project:
    return db.get_one(Project, db.get_one(Sample, run.sample_id).project_id)


def _segments(db: Session, run: Regeneration) -> list[str]:
    found = db.query(Segment).filter_by(regeneration_id=run.id).order_by(Segment.depth)
    return [segment.text for segment in found]
