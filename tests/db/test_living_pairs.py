"""Which pairs count after any sequence of steps: those of a ledger that knows only texts.

ledger.py keeps the books without the product's tree, spans or corrections.
"""

import itertools
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app.annotation.edits import assignment, correction, reversal, structure
from app.annotation.edits.path import Path
from app.exports.judgements import judgements
from app.exports.outputs import outputs
from app.models import Correction, Segment
from app.models.live import is_live_pair
from app.refusals import Refusal
from tests.db.conftest import Desk, make_desk
from tests.db.ledger import Ledger

# What an annotator does, and how often. A number names a segment, a text is typed or written.
STEPS = (
    "accept",
    "correct",
    "correct",
    "continue",
    "insert",
    "delete",
    "delete and continue",
    "split",
    "merge",
    "undo",
    "restore",
    "continue again",
    "a worker writes",
    "a worker ends",
    "stop",
    "back to the model's text",
)
TEXTS = ("A lecture.\n\n", "Bars of a chart.\n\n", "Cells of a table.\n\n", "Done: thanks.")
steps = st.tuples(
    st.sampled_from(STEPS),
    st.integers(1, 6),
    st.text(alphabet=st.sampled_from("ab .\n第"), min_size=1, max_size=8),
)


# Each of these left pairs of texts that were gone, or left changes out.
KNOWN = {
    "corrected, then deleted": [("correct", 3, "a"), ("delete", 3, "a"), ("accept", 3, "a")],
    "a half corrected again": [("correct", 3, "abababab"), ("split", 3, "a"), ("correct", 4, "b")],
    "merged and corrected": [("correct", 4, "a"), ("merge", 3, "a"), ("correct", 3, "b")],
    "a copy corrected again": [("correct", 3, "a"), ("correct", 2, "a"), ("correct", 3, "b")],
    "displaced": [("correct", 3, "a"), ("continue", 2, "a"), ("a worker ends", 1, "a")],
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_faults_that_there_were(db: Session, name: str) -> None:
    check(db, KNOWN[name])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sequence=st.lists(steps, max_size=16))
def test_the_pairs_that_count_are_what_the_text_prefers_to_the_models(
    db: Session, sequence: list[tuple[str, int, str]]
) -> None:
    with db.begin_nested() as savepoint:
        check(db, sequence)
        savepoint.rollback()
    db.expire_all()


def check(db: Session, sequence: list[tuple[str, int, str]]) -> None:
    """Take the steps, and compare after each."""
    desk = make_desk(db, TEXTS)
    ledger = Ledger(desk.texts)
    # No two texts begin alike, so that none of them is another's beginning by chance.
    firsts = map(chr, itertools.count(0x4E00))
    for name, at, text in sequence:
        at = min(at, len(desk.texts))
        if at == 0:
            break
        try:
            with db.begin_nested():
                step(desk, ledger, name, at, f"{next(firsts)}{text}")
        except Refusal:
            continue
        assert desk.texts == ledger.texts, name
        found = living(desk)
        expected = Counter(ledger.pairs)
        assert Counter(pair[:3] for pair in found) == expected, name
        for _, _, rejected, prefix, on_policy in found:
            assert on_policy == ledger.on_policy(prefix, rejected), (name, prefix, rejected)
        _check_what_else_leaves(desk, found)


Living = tuple[str, str, str, str, bool]


def living(desk: Desk) -> list[Living]:
    """Kind, chosen, rejected, prefix and whether it is on-policy, of each pair that counts."""
    chosen, rejected = aliased(Segment), aliased(Segment)
    rows = desk.db.execute(
        select(Correction, chosen.text, rejected.text)
        .join(chosen, chosen.id == Correction.chosen_id)
        .join(rejected, rejected.id == Correction.rejected_id)
        .where(Correction.draft_id == desk.draft.id, is_live_pair())
        .execution_options(populate_existing=True)
    ).all()
    return [
        (
            pair.kind.value,
            good,
            bad,
            "".join(one.text for one in Path.load(desk.db, pair.parent_id).steps),
            pair.on_policy,
        )
        for pair, good, bad in rows
    ]


def _check_what_else_leaves(desk: Desk, found: list[Living]) -> None:
    """Judgements and whole outputs say nothing against the pairs, nor against each other."""
    said = [one for _, one in judgements(desk.db, [desk.draft.id])]
    accepted = {(one.prefix, one.text) for one in said if one.accepted}
    refused = {(one.prefix, one.text) for one in said if not one.accepted}
    wanted = {(prefix, chosen) for _, chosen, _, prefix, _ in found}
    unwanted = {(prefix, rejected) for _, _, rejected, prefix, _ in found}
    tasks_done = _finished(desk)
    assert not (accepted | tasks_done) & (refused | unwanted)
    assert not wanted & refused


def _finished(desk: Desk) -> set[tuple[str, str]]:
    """The segments of the whole output that a trainer would learn from, if it were finished now."""
    try:
        with desk.db.begin_nested() as savepoint:
            assignment.finish(desk.db, draft=desk.draft, base_version=desk.draft.version)
            found = set()
            for _, output in outputs(desk.db, [desk.draft.id]):
                prefix = ""
                for segment in output.segments:
                    if segment.verdict is not None:
                        found.add((prefix, segment.text))
                    prefix += segment.text
            savepoint.rollback()
    except Refusal:
        return set()
    desk.db.expire_all()
    return found


def step(desk: Desk, ledger: Ledger, name: str, at: int, text: str) -> None:
    """Take a step in both. Raises Refusal for what the product refuses."""
    version = desk.draft.version
    before = desk.texts
    DO[name](desk, at, text)
    runs = desk.draft.regeneration_id is not None
    if name == "undo":
        ledger.undo()
        return
    if name == "stop":
        return
    if name.startswith("a worker"):
        ledger.writes(desk.texts[-1])
        return
    if desk.draft.version == version:
        return
    if name == "restore":
        run = ledger.state.run
        assert run is not None
        ledger.step()
        ledger.restore(run)
        return
    index = at - 1
    plain = name == "accept" or (
        name in ("correct", "continue", "back to the model's text") and desk.texts == before
    )
    ledger.step(accepts=index if plain else None)
    if plain:
        ledger.accept(index)
    elif name in ("correct", "continue", "back to the model's text"):
        ledger.correct(index, desk.texts[index], rewrite=name == "continue", runs=runs)
    elif name == "insert":
        ledger.insert(index, desk.texts[index], runs=runs)
    elif name.startswith("delete"):
        ledger.delete(index, rewrite=name == "delete and continue", runs=runs)
    elif name == "split":
        ledger.split(index, len(desk.texts[index]), runs=runs)
    elif name == "merge":
        ledger.merge(index, runs=runs)
    elif name == "continue again":
        ledger.regenerate(at)


def _split(desk: Desk, at: int, text: str) -> None:
    structure.split(
        desk.db,
        draft=desk.draft,
        base_version=desk.draft.version,
        segment_id=desk.at(at).id,
        at=len(text) + 1,
    )


def _merge(desk: Desk, at: int, text: str) -> None:
    structure.merge(
        desk.db, draft=desk.draft, base_version=desk.draft.version, segment_id=desk.at(at).id
    )


def _restore(desk: Desk, at: int, text: str) -> None:
    reversal.restore(
        desk.db,
        draft=desk.draft,
        base_version=desk.draft.version,
        regeneration_id=desk.draft.regeneration_id or 0,
    )


def _again(desk: Desk, at: int, text: str) -> None:
    correction.regenerate(
        desk.db, draft=desk.draft, base_version=desk.draft.version, segment_id=desk.at(at).id
    )


def _back(desk: Desk, at: int, text: str) -> None:
    """The annotator takes a version of the model's out of the history."""
    step = desk.at(at)
    texts = desk.db.scalars(
        select(Segment.text)
        .where(Segment.parent_id == step.parent_id, Segment.author_id.is_(None))
        .order_by(Segment.id)
    ).all()
    desk.correct(at, texts[0] if texts else step.text)


DO: dict[str, Callable[[Desk, int, str], object]] = {
    "accept": lambda desk, at, text: desk.accept(at),
    "correct": lambda desk, at, text: desk.correct(at, text),
    "continue": lambda desk, at, text: desk.correct(at, text, rewrite=True),
    "insert": lambda desk, at, text: desk.insert(at - 1, text),
    "delete": lambda desk, at, text: desk.delete(at),
    "delete and continue": lambda desk, at, text: desk.delete(at, rewrite=True),
    "split": _split,
    "merge": _merge,
    "undo": lambda desk, at, text: desk.undo(),
    "restore": _restore,
    "continue again": _again,
    "a worker writes": lambda desk, at, text: desk.write(f"{text} written.\n"),
    "a worker ends": lambda desk, at, text: desk.write(f"{text} last.", stop_reason="stop"),
    "stop": lambda desk, at, text: correction.stop(
        desk.db, draft=desk.draft, regeneration_id=desk.draft.regeneration_id or 0
    ),
    "back to the model's text": _back,
}
