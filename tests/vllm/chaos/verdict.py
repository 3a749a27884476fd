"""What must hold of each regeneration in the end, whatever has happened."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.annotation.edits.path import Path as TreePath
from app.domain.prompts import ChatPrompt
from app.domain.text import defect
from app.models import Chunk, Regeneration, RunState, Sample, SampleImage, Segment
from app.regenerations.cutting import cutting_of
from tests.vllm.chaos.annotators import Asked
from tests.vllm.records import Said
from worker.certainty import PATIENCE


@dataclass
class Fate:
    """A regeneration in the end. prompt: what it was asked with, before it had written anything."""

    run: Regeneration
    prompt: ChatPrompt
    text: str = ""
    segments: list[Segment] = field(default_factory=list)

    @property
    def before(self) -> str:
        """The text that it continues."""
        return self.prompt.prefix


def fate_of(db: Session, run_id: int) -> Fate:
    """Read it, checked to be in one piece: no gap or overlap, segments and text the same."""
    run = db.get_one(Regeneration, run_id)
    sample = db.get_one(Sample, run.sample_id)
    images = db.scalars(
        select(SampleImage.sha256)
        .where(SampleImage.sample_id == sample.id)
        .order_by(SampleImage.position)
    )
    path = TreePath.load(db, run.anchor_id)
    before = "".join(step.text for step in path.steps)
    fate = Fate(run, ChatPrompt("", tuple(images), sample.instruction, before))
    for start, chunk in db.execute(
        select(Chunk.start, Chunk.text).where(Chunk.regeneration_id == run_id).order_by(Chunk.start)
    ):
        assert start == len(fate.text), f"text begins at {start} behind {len(fate.text)}"
        fate.text += chunk
    fate.segments = list(
        db.scalars(
            select(Segment)
            .where(Segment.regeneration_id == run_id, Segment.copied_from.is_(None))
            .order_by(Segment.depth)
        )
    )
    return fate


def check_fate(db: Session, fate: Fate, asked: Asked) -> None:
    """It has ended as its annotator wished, or with a reason; its row, text and segments agree."""
    run, text = fate.run, fate.text
    assert run.state not in (RunState.QUEUED, RunState.RUNNING)
    assert run.finished_at is not None
    assert run.lease_until is None
    assert run.written == len(text)
    assert (run.error is not None) == (run.state is RunState.FAILED)
    assert (run.stop_reason is not None) == (run.state is RunState.DONE)
    if run.state is RunState.CANCELLED:
        assert asked.wish == "stop"
    if run.state is RunState.SUPERSEDED:
        assert asked.wish == "correct again"
    parents = [run.anchor_id, *(one.id for one in fate.segments)]
    assert [one.parent_id for one in fate.segments] == parents[:-1]
    assert run.leaf_id == parents[-1]
    assert "".join(one.text for one in fate.segments) == text[: run.cut]
    assert [one.ends_output for one in fate.segments[:-1]] == [False] * (len(fate.segments) - 1)
    if fate.segments:
        assert fate.segments[-1].ends_output == (run.stop_reason == "stop")
    if run.state is RunState.SUPERSEDED:
        pieces, count = _pieces(db, fate, whole=False), len(fate.segments)
        assert pieces[:count] == [one.text for one in fate.segments]
        if pieces[count:]:
            # It ended while a complete segment still waited for its last log-probabilities.
            assert len(text) - (run.cut + len(pieces[count])) <= PATIENCE
    else:
        assert not text[run.cut :].strip()
        pieces = [piece for piece in _pieces(db, fate) if piece.strip()]
        assert pieces == [one.text for one in fate.segments if one.text.strip()]


def _pieces(db: Session, fate: Fate, *, whole: bool = True) -> list[str]:
    """How the sample's rule cuts the text when it comes at once."""
    run = fate.run
    cutting = cutting_of(db, sample_id=run.sample_id, behind_id=run.anchor_id)
    splitter = cutting.splitter(fate.before)
    pieces = splitter.feed(fate.text) + (splitter.close() if whole else [])
    return [piece.text for piece in pieces]


def check_words(fate: Fate, said: dict[str, list[Said]]) -> int:
    """Each attempt went on exactly where the one before it had been kept, and every word that
    stands there was sent to the attempt that wrote it; how many attempts have written.
    """
    run, text = fate.run, fate.text
    begun: list[tuple[int, list[Said]]] = []
    last = 0
    for attempt in range(1, run.attempt + 1):
        asked = [one for one in said.get(f"regeneration-{run.id}-{attempt}", []) if one.status]
        answered = [one for one in asked if one.status == 200]
        if not answered:
            continue
        kept = {len(one.prefix) - len(fate.before) for one in asked}
        assert len(kept) == 1, f"attempt {attempt} asked with different texts"
        start = kept.pop()
        assert {one.prefix for one in asked} == {fate.before + text[:start]}
        begun.append((start, answered))
        last = attempt
    ends = [start for start, _ in begun[1:]] + [len(text)]
    for (start, answered), end in zip(begun, ends, strict=True):
        assert start <= end, "an attempt began before what was kept"
        written = text[start:end]
        assert any(one.text.startswith(written) for one in answered), "words that nobody said"
    if not begun:
        assert text == ""
    elif run.state is RunState.DONE:
        start, answered = begun[-1]
        if last == run.attempt:
            assert [one.text for one in answered if one.finish] == [text[start:]]
        else:
            # What was kept reaches the limit of tokens, counted anew: nobody was asked for more,
            # though the attempt that wrote it may have heard a little more before it died.
            assert run.stop_reason == "length"
    elif run.state is RunState.FAILED:
        assert defect("".join(one.text for one in begun[-1][1])), run.error
    return len(begun)


def check_reader(fate: Fate, asked: Asked) -> None:
    """Who followed it was told every word once, in order, and how it ended."""
    reader = asked.reader
    assert reader.faults == []
    assert reader.ended
    assert reader.text == fate.text
    if reader.state:
        assert (reader.state, reader.error) == (fate.run.state, fate.run.error)
    ends = [end for _, end in reader.segments]
    lengths = [len(one.text) for one in fate.segments]
    assert ends == [sum(lengths[:count]) for count in range(1, len(lengths) + 1)]


def check_rows(db: Session, asked: Sequence[Asked], undone: Sequence[int]) -> None:
    """Every request has its regeneration, and there is none that nobody asked for."""
    rows = {
        row.id: row.draft_id for row in db.execute(select(Regeneration.id, Regeneration.draft_id))
    }
    assert rows == {one.run_id: one.draft_id for one in asked}
    assert not rows.keys() & set(undone)
