"""The invariants of the segment tree under any sequence of an annotator's steps."""

import itertools
from collections.abc import Callable

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app import regenerations
from app.annotation.edits import assignment, reversal, structure
from app.annotation.edits import correction as correction_edits
from app.annotation.edits.path import Path
from app.annotation.views.segments import lines
from app.domain.corrections import Verdict
from app.domain.distances import edited
from app.domain.filters import PairFilter
from app.exports.formats import PAIR_FORMATS, Rendering
from app.exports.jsonl import lines_of, plain_lines
from app.exports.reader import read_batch
from app.exports.selection import select_pairs
from app.models import Correction, Project, Sample, Segment
from app.models.live import is_live_pair
from app.pairs import service as pairs
from app.refusals import Refusal
from tests.db.conftest import Desk, make_desk

STEPS: dict[str, Callable[[Desk, int, str], object]] = {
    "accept": lambda desk, at, text: desk.accept(at),
    "correct": lambda desk, at, text: desk.correct(at, text),
    "continue": lambda desk, at, text: desk.correct(at, text, rewrite=True),
    "insert": lambda desk, at, text: desk.insert(at - 1, text),
    "delete": lambda desk, at, text: desk.delete(at),
    "delete and continue": lambda desk, at, text: desk.delete(at, rewrite=True),
    "split": lambda desk, at, text: structure.split(
        desk.db,
        draft=desk.draft,
        base_version=desk.draft.version,
        segment_id=desk.at(at).id,
        at=len(text),
    ),
    "merge": lambda desk, at, text: structure.merge(
        desk.db, draft=desk.draft, base_version=desk.draft.version, segment_id=desk.at(at).id
    ),
    "undo": lambda desk, at, text: reversal.undo(
        desk.db, draft=desk.draft, base_version=desk.draft.version
    ),
    "restore": lambda desk, at, text: reversal.restore(
        desk.db,
        draft=desk.draft,
        base_version=desk.draft.version,
        regeneration_id=desk.draft.regeneration_id or 0,
    ),
    "a worker writes": lambda desk, at, text: desk.write(f"Written {text}.\n"),
    "a worker ends": lambda desk, at, text: desk.write(f"Last {text}.", stop_reason="stop"),
    "stop": lambda desk, at, text: correction_edits.stop(
        desk.db, draft=desk.draft, regeneration_id=desk.draft.regeneration_id or 0
    ),
    "continue again": lambda desk, at, text: correction_edits.regenerate(
        desk.db, draft=desk.draft, base_version=desk.draft.version, segment_id=desk.at(at).id
    ),
    "a worker waits": lambda desk, at, text: desk.wait(),
    "a worker offers": lambda desk, at, text: desk.offer(f"One {text}.\n", f"Two {text}.\n"),
    "a worker offers an end": lambda desk, at, text: desk.offer(
        f"Last {text}.", f"End {text}.", ends_output=True
    ),
    "a worker has one idea": lambda desk, at, text: desk.offer(f"One {text}.\n", f"One {text}.\n"),
    "choose": lambda desk, at, text: desk.choose(at),
    "write on": lambda desk, at, text: desk.write_on(),
    "finish and reopen": lambda desk, at, text: _finish_and_reopen(desk),
    "an admin takes a pair back": lambda desk, at, text: _take_back(desk, at),
}

# What undoing does not lead back from.
FINAL = {"undo", "an admin takes a pair back"}

steps = st.tuples(
    st.sampled_from(sorted(STEPS)),
    st.integers(1, 6),
    st.text(alphabet=st.sampled_from("ab .\n\r第😀"), min_size=1, max_size=12),
)

generations = st.sampled_from(
    [{}, {"look_ahead": 1}, {"candidates": 2}, {"candidates": 3, "look_ahead": 2}]
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sequence=st.lists(steps, max_size=14), generation=generations)
def test_any_sequence_of_steps_keeps_the_invariants(
    db: Session, sequence: list[tuple[str, int, str]], generation: dict[str, int]
) -> None:
    with db.begin_nested() as savepoint:
        desk = make_desk(db, **generation)
        tree = _tree(desk)
        for name, at, text in sequence:
            at = min(at, len(desk.texts))
            if at == 0:
                break
            try:
                with db.begin_nested():
                    STEPS[name](desk, at, text)
            except Refusal:
                continue
            _check_path(desk)
            _check_pairs(desk)
            _check_export(desk)
            _check_run(desk)
            grown = _tree(desk)
            assert tree.items() <= grown.items(), "a segment was changed or removed"
            tree = grown
        savepoint.rollback()
    db.expire_all()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sequence=st.lists(steps.filter(lambda step: step[0] not in FINAL), max_size=8),
    generation=generations,
)
def test_undoing_every_step_leads_back_to_the_beginning(
    db: Session, sequence: list[tuple[str, int, str]], generation: dict[str, int]
) -> None:
    with db.begin_nested() as savepoint:
        desk = make_desk(db, **generation)
        before = desk.now
        for name, at, text in sequence:
            at = min(at, len(desk.texts))
            if at == 0:
                break
            try:
                with db.begin_nested():
                    STEPS[name](desk, at, text)
            except Refusal:
                continue
        while reversal.undo(desk.db, draft=desk.draft, base_version=desk.draft.version):
            pass
        assert desk.now.path == before.path
        assert desk.now.verdicts == before.verdicts
        assert desk.pairs == []
        savepoint.rollback()
    db.expire_all()


def _finish_and_reopen(desk: Desk) -> None:
    assignment.finish(desk.db, draft=desk.draft, base_version=desk.draft.version)
    assignment.reopen(desk.db, draft=desk.draft)


def _take_back(desk: Desk, at: int) -> None:
    live = desk.pairs
    pair = live[at % len(live)] if live else None
    pairs.retract(
        desk.db,
        project_id=_project(desk).id,
        pair_id=pair.id if pair else 0,
        reason="Not a good pair.",
        actor_id=desk.user.id,
    )


def _project(desk: Desk) -> Project:
    return desk.db.get_one(Project, desk.db.get_one(Sample, desk.draft.sample_id).project_id)


def _tree(desk: Desk) -> dict[int, tuple[int | None, str]]:
    rows = desk.db.execute(
        select(Segment.id, Segment.parent_id, Segment.text).where(
            Segment.sample_id == desk.draft.sample_id
        )
    )
    return {row.id: (row.parent_id, row.text) for row in rows}


def _check_path(desk: Desk) -> None:
    state = desk.now
    steps = state.path.steps
    assert steps[0].text == ""
    assert all(step.parent_id == above.id for above, step in itertools.pairwise(steps))
    assert [step.depth for step in steps] == list(range(len(steps)))
    seen = lines(desk.db, desk.draft, state.path.leaf.id)
    assert [line.text for line in seen] == [step.text for step in state.path.segments]
    assert not any(step.ends_output for step in steps[:-1]), "the output ends before its end"
    assert set(state.verdicts.values()) <= set(Verdict)


def _check_run(desk: Desk) -> None:
    """What a reader of the stream is told of the run is what stands on the path."""
    run = desk.now.run
    if run is None:
        return
    news = regenerations.news(desk.db, [regenerations.Position(run.id, 0, 0)])[0]
    own = [
        step for step in desk.now.path.segments if step.id in {s.segment_id for s in news.segments}
    ]
    assert [step.id for step in own] == [one.segment_id for one in news.segments]
    assert [0, *(one.end for one in news.segments)] == [
        *(one.start for one in news.segments),
        run.cut,
    ]
    if run.cut:
        assert "".join(step.text for step in own) == news.text[: run.cut]
    if run.undecided:
        assert (run.written, news.candidates) == (0, len(regenerations.candidates(desk.db, run)))


def _check_pairs(desk: Desk) -> None:
    chosen, rejected = aliased(Segment), aliased(Segment)
    rows = desk.db.execute(
        select(Correction, chosen, rejected)
        .join(chosen, chosen.id == Correction.chosen_id)
        .join(rejected, rejected.id == Correction.rejected_id)
        .where(Correction.draft_id == desk.draft.id)
    )
    for pair, good, bad in rows:
        assert good.parent_id == bad.parent_id == pair.parent_id
        assert good.text != bad.text
        assert good.text
        assert bad.text
        assert Path.load(desk.db, good.id).steps[:-1] == Path.load(desk.db, bad.id).steps[:-1]


def _check_export(desk: Desk) -> None:
    """Every row that leaves, in every format, by the quick way and the plain one."""
    project = _project(desk)
    wanted = PairFilter(project=(project.name,))
    selection = select_pairs(desk.db, wanted, [project.id])
    found = read_batch(desk.db, selection.ids)
    live = {pair.id for pair in desk.db.scalars(select(Correction).where(is_live_pair()))}
    assert {one.pair_id for one in found} == live & {one.id for one in desk.pairs}
    for one in found:
        pair = one.pair
        correction = desk.db.get_one(Correction, one.pair_id)
        path = Path.load(desk.db, correction.parent_id)
        assert pair.prefix == "".join(step.text for step in path.steps)
        assert pair.chosen != pair.rejected
        assert correction.edited == edited(pair.rejected, pair.chosen)
        for form in PAIR_FORMATS.values():
            rendering = Rendering(folder=form.name)
            quick = lines_of(form, form.rows, rendering)(one)
            assert quick == plain_lines(one, form.rows, rendering)
            assert [orjson.loads(line) for line in quick] == [
                dict(row) for row in form.rows(pair, rendering)
            ]
