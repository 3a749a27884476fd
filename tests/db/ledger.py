"""What an annotator's text prefers to the model's, kept beside the product by simple means.

A text is a row of cells, one for each character. A cell knows the piece of a person's typing that
it belongs to, or that the model wrote it; a deletion is a cell without a character. Nothing here
knows segments' ids, the tree, or how the product finds its pairs.
"""

import copy
import itertools
from dataclasses import dataclass, field

Pair = tuple[str, str, str]  # kind, chosen, rejected


@dataclass
class Piece:
    """Something that a person typed. base: the model's text that it replaced; pushed: the model's
    text that it was put before; tied: it goes on the piece in front of it."""

    base: str = ""
    pushed: str = ""
    tied: bool = False


@dataclass
class Cell:
    """A character. piece: None for the model's; gone: a deleted text of the model, and no
    character."""

    char: str
    piece: int | None = None
    gone: str = ""


@dataclass
class Part:
    """A segment."""

    cells: list[Cell]
    verdict: str | None = None

    @property
    def text(self) -> str:
        return "".join(cell.char for cell in self.cells)

    @property
    def deletions(self) -> list[Cell]:
        """In front of the text."""
        return list(itertools.takewhile(lambda cell: cell.gone, self.cells))

    @property
    def body(self) -> list[Cell]:
        return self.cells[len(self.deletions) :]


@dataclass
class Run:
    """A continuation. written: it has a segment; gone: deletions in front of its text; old: what it
    displaced; deleted: the segment whose deletion asked for it; pushes: an insertion did."""

    written: bool = False
    gone: list[Cell] = field(default_factory=list)
    above: int = 0
    old: list[Part] = field(default_factory=list)
    deleted: Part | None = None


def model(text: str) -> list[Cell]:
    return [Cell(char) for char in text]


@dataclass
class State:
    """A draft at a moment. just_deleted: by the last step, at the end of the text."""

    parts: list[Part]
    pieces: dict[int, Piece] = field(default_factory=dict)
    run: Run | None = None
    just_deleted: list[Cell] = field(default_factory=list)


class Ledger:
    """Follows a draft's steps; `pairs` is what must leave as pairs then."""

    def __init__(self, texts: list[str]) -> None:
        self.state = State([Part(model(text)) for text in texts])
        self.past: list[tuple[State, int | None]] = []
        self.writings: list[tuple[str, str, str]] = [("import", "", "".join(texts))]
        self._number = 0

    # What is read.

    @property
    def texts(self) -> list[str]:
        return [part.text for part in self.state.parts]

    @property
    def pairs(self) -> list[Pair]:
        """Kind, chosen and rejected text of each pair that must count."""
        found: list[Pair] = []
        for part in self.state.parts:
            for at, cell in enumerate(part.cells):
                if cell.gone and part.verdict:
                    rest = "".join(one.char for one in part.cells[at:])
                    found.append(("delete", rest, cell.gone))
        for group in self._groups():
            text = "".join(cell.char for cell in group)
            pieces = self._pieces(group)
            base = "".join(piece.base for piece in pieces)
            kind, rejected = ("rewrite", base) if base else ("insert", pieces[0].pushed)
            if rejected:
                found.append((kind, text, rejected))
        return sorted(pair for pair in found if pair[1] != pair[2])

    def on_policy(self, prefix: str, text: str) -> bool:
        """Whether one policy wrote the text directly after the prefix."""
        return any(self._wrote(policy, prefix, text) for policy in ("import", "writer"))

    def _wrote(self, policy: str, prefix: str, text: str) -> bool:
        for by, after, written in self.writings:
            if by == policy and prefix.startswith(after):
                rest = prefix[len(after) :]
                if not written.startswith(rest):
                    continue
                more = written[len(rest) :]
                if more.startswith(text):
                    return True
                if more and text.startswith(more):
                    return self._wrote(policy, prefix + more, text[len(more) :])
        return False

    # What is done.

    def step(self, accepts: int | None = None) -> None:
        """A step begins; accepts: it is the acceptance of that segment, and moves nothing."""
        self.past.append((copy.deepcopy(self.state), accepts))

    def forget_step(self) -> None:
        """It was refused, or no step after all."""
        self.past.pop()

    def undo(self) -> None:
        if not self.past:
            return
        before, accepts = self.past.pop()
        if accepts is None:
            self.state = before
        else:
            self.state.parts[accepts].verdict = before.parts[accepts].verdict
            self.state.just_deleted = before.just_deleted

    def accept(self, at: int) -> None:
        self.state.parts[at].verdict = self.state.parts[at].verdict or "accepted"
        self.state.just_deleted = []

    def correct(self, at: int, text: str, *, rewrite: bool, runs: bool) -> None:
        """The segment's text is `text` now. runs: a run goes on at the end of the text."""
        state = self.state
        part = state.parts[at]
        marks, body = part.deletions, part.body
        if self._goes_back(at, text):
            part.cells, part.verdict = [*marks, *model(text)], "accepted"
            self._kept(runs)
            return
        new = Piece(base=self._bases(body))
        first, last = body[0].piece, body[-1].piece
        before = self._owners(state.parts[:at])
        new.tied = first is not None and (first in before or state.pieces[first].tied)
        if first in before and first is not None:
            new.base = self._bases([cell for cell in body if cell.piece != first])
        if not new.base and not new.tied:
            pushed = [p.pushed for p in self._pieces([c for c in body if c.piece is not None])]
            new.pushed = next(filter(None, pushed), "")
        if last is not None:
            # The rest of what was cut goes on the new text.
            rest = self._add(Piece(tied=True))
            for later in state.parts[at + 1 :]:
                for cell in later.cells:
                    if cell.piece == last:
                        cell.piece = rest
        number = self._add(new)
        part.cells = [*marks, *(Cell(char, number) for char in text)]
        part.verdict = "corrected"
        self._follow(at + 1, rewrite=rewrite and runs, runs=runs)

    def insert(self, at: int, text: str, *, runs: bool) -> None:
        """`text` stands at `at` now, and what stood there comes after it."""
        state = self.state
        following = state.parts[at] if at < len(state.parts) else None
        before = state.parts[:at]
        new = Piece()
        marks: list[Cell] = []
        if following is None:
            marks = self._end_marks()
            if state.run:
                state.run.gone = []
        else:
            marks, body = following.deletions, following.body
            following.cells = body
            first = body[0].piece
            if first is not None and (first in self._owners(before) or state.pieces[first].tied):
                new.tied = True
            else:
                new.pushed = self._bases(body)
                if not new.pushed:
                    own = self._pieces([cell for cell in body if cell.piece is not None])
                    new.pushed = next(filter(None, (piece.pushed for piece in own)), "")
        number = self._add(new)
        cells = [*marks, *(Cell(char, number) for char in text)]
        state.parts.insert(at, Part(cells, "corrected"))
        self._kept(runs)

    def delete(self, at: int, *, rewrite: bool, runs: bool) -> None:
        state = self.state
        part, old = state.parts[at], copy.deepcopy(state.parts[at + 1 :])
        follows = at + 1 < len(state.parts) and not (rewrite and runs)
        copied = copy.deepcopy(part)
        marks = self._take_out(at, follows=follows)
        if follows:
            state.parts[at].cells = [*marks, *state.parts[at].cells]
            self._kept(runs)
        elif rewrite and runs and old:
            state.parts = state.parts[:at]
            state.run = Run(gone=marks, above=at, old=old, deleted=copied)
        else:
            end = self._end_marks()
            self._kept(runs)
            state.just_deleted = marks
            if state.run:
                state.run.gone = [*marks, *end]

    def split(self, at: int, length: int, *, runs: bool) -> None:
        part = self.state.parts[at]
        count, cut = 0, 0
        while count < length:
            count += len(part.cells[cut].char)
            cut += 1
        halves = [Part(part.cells[:cut], part.verdict), Part(part.cells[cut:], part.verdict)]
        self.state.parts[at : at + 1] = halves
        self._kept(runs)

    def merge(self, at: int, *, runs: bool) -> None:
        one, other = self.state.parts[at : at + 2]
        verdicts = {one.verdict, other.verdict}
        verdict = "corrected" if "corrected" in verdicts else one.verdict and other.verdict
        self.state.parts[at : at + 2] = [Part([*one.cells, *other.cells], verdict)]
        self._kept(runs)

    def regenerate(self, at: int) -> None:
        """The text is written again after the segment in front of `at`."""
        state = self.state
        old = state.parts[at:]
        gone = old[0].deletions if old else self._end_marks() or state.just_deleted
        state.parts = state.parts[:at]
        state.run = Run(gone=copy.deepcopy(gone), above=at, old=old)
        state.just_deleted = []

    def restore(self, run: Run) -> None:
        state = self.state
        old = copy.deepcopy(run.old)
        state.parts = state.parts[: run.above]
        if run.deleted is not None:
            state.parts += [copy.deepcopy(run.deleted), *old]
            marks = self._take_out(run.above, follows=True)
            state.parts[run.above].cells = [*marks, *state.parts[run.above].cells]
        else:
            state.parts += old
        state.run, state.just_deleted = None, []

    def writes(self, text: str) -> None:
        """The run writes a segment."""
        state = self.state
        assert state.run is not None
        self.writings.append(("writer", "".join(self.texts), text))
        gone = [] if state.run.written else copy.deepcopy(state.run.gone)
        state.parts.append(Part([*gone, *model(text)]))
        state.run.written = True

    # How it is done.

    def _add(self, piece: Piece) -> int:
        self._number += 1
        self.state.pieces[self._number] = piece
        return self._number

    def _follow(self, at: int, *, rewrite: bool, runs: bool) -> None:
        if rewrite:
            old = self.state.parts[at:]
            self.state.parts = self.state.parts[:at]
            self.state.run = Run(above=at, old=old)
            self.state.just_deleted = []
        else:
            self._kept(runs)

    def _kept(self, runs: bool) -> None:
        """What follows was kept; a run that was not at its end goes on as another one."""
        self.state.just_deleted = []
        self.state.run = Run(gone=self._end_marks()) if runs else None

    def _end_marks(self) -> list[Cell]:
        run = self.state.run
        return run.gone if run is not None and not run.written else []

    def _take_out(self, at: int, *, follows: bool) -> list[Cell]:
        state = self.state
        part = state.parts.pop(at)
        marks, body = part.deletions, part.body
        left = self._owners(state.parts[at:] if follows else [])
        before = self._owners(state.parts[:at])
        gone = ""
        handed: Piece | None = None
        after = state.parts[at].body[0].piece if follows else None
        goes_on = after is not None and (after in self._owners([part]) or state.pieces[after].tied)
        run: list[Cell] = []
        # The last block goes on behind it: what it stands for stays with the rest of it.
        if goes_on:
            run = self._last_block(body)
            body = body[: len(body) - len(run)]
        for owner, cells in itertools.groupby(body, key=lambda cell: cell.piece):
            if owner is None:
                gone += "".join(cell.gone or cell.char for cell in cells)
            elif owner not in before and owner not in left:
                gone += state.pieces[owner].base
                state.pieces[owner].base = ""
        if run and after is not None:
            owners = list(dict.fromkeys(cell.piece for cell in run if cell.piece is not None))
            lost = [one for one in owners if one not in left and one not in before]
            if lost:
                first = state.pieces[owners[0]]
                target = state.pieces[after]
                base = "".join(state.pieces[one].base for one in lost) + target.base
                handed = Piece(base, "" if base else first.pushed or target.pushed, first.tied)
                if owners[0] in before:
                    handed.tied = True
                number = self._add(handed)
                for later in state.parts[at:]:
                    for cell in later.cells:
                        if cell.piece == after:
                            cell.piece = number
        return [*marks, Cell("", None, gone)] if gone else marks

    def _last_block(self, body: list[Cell]) -> list[Cell]:
        """The cells at the end that are one change."""
        blocks = self._blocks(body)
        return blocks[-1] if blocks else []

    def _goes_back(self, at: int, text: str) -> bool:
        body = self.state.parts[at].body
        owners = {cell.piece for cell in body}
        if len(owners) != 1 or None in owners or any(cell.gone for cell in body):
            return False
        (owner,) = owners
        others = self._owners([*self.state.parts[:at], *self.state.parts[at + 1 :]])
        piece = self.state.pieces[owner or 0]
        after = self.state.parts[at + 1].body[0].piece if at + 1 < len(self.state.parts) else None
        goes_on = after is not None and self.state.pieces[after].tied
        return owner not in others and not piece.tied and not goes_on and piece.base == text

    def _owners(self, parts: list[Part]) -> set[int]:
        return {cell.piece for part in parts for cell in part.cells if cell.piece is not None}

    def _pieces(self, cells: list[Cell]) -> list[Piece]:
        owners = dict.fromkeys(cell.piece for cell in cells if cell.piece is not None)
        return [self.state.pieces[owner] for owner in owners]

    def _bases(self, cells: list[Cell]) -> str:
        """The model's text that stood where the cells are."""
        found, seen = "", set()
        for cell in cells:
            if cell.piece is None:
                found += cell.gone or cell.char
            elif cell.piece not in seen:
                seen.add(cell.piece)
                found += self.state.pieces[cell.piece].base
        return found

    def _groups(self) -> list[list[Cell]]:
        return self._blocks([cell for part in self.state.parts for cell in part.cells])

    def _blocks(self, cells: list[Cell]) -> list[list[Cell]]:
        """The changes among the cells: pieces, each with those that are tied to it."""
        blocks: list[list[Cell]] = []
        open_block: list[Cell] = []
        for cell in cells:
            if cell.piece is None:
                open_block = []
                continue
            mine = {one.piece for one in open_block}
            if open_block and (cell.piece in mine or self.state.pieces[cell.piece].tied):
                open_block.append(cell)
            else:
                open_block = [cell]
                blocks.append(open_block)
        return blocks
