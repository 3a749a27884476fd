"""The continuation that the replay engine gives: no model, the sample's own words once more.

It lets the whole loop run on any machine: after a correction the original segments follow, with
the annotator's replacements of words carried on. It is deterministic and says nothing new.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise

import regex

from app.domain.diffs import Op, diff
from app.domain.headings import slide_number
from app.domain.words import tokens

# A longer replacement is a rewrite of a sentence, not of a term.
_LONGEST = 12
_HAN = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_LETTERS = regex.compile(r"[\p{L}\p{N}]")
_COMMON_WORDS = """
a about after all also an and any are as at be been before both but by can could did do
does each even every for from had has have he her here his how i if in into is it its just
may might more most much must no not of on one only or other our out over she should so
some such than that the their them then there these they this those to two under up very
was we were what when where which while who will with would you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())

Tokens = tuple[str, ...]


def continuation(
    original: Sequence[str],
    kept: int,
    corrections: Sequence[tuple[str, str]],
    generated: str = "",
) -> str:
    """The rest of the output: the original segments from index `kept` on, words replaced.

    corrections: (rejected, chosen) in the order of the path. A replaced word or term is carried on
    if it is specific: no common word, nothing inserted or deleted only, whole words in the same
    case, at least two characters of Chinese or Japanese; and only if nothing of it was left in the
    corrected segment. Slide headings stay as they are. generated: how much of the continuation is
    there already; it is left off. Raises ValueError if the continuation does not begin with it, or
    if kept is negative.
    """
    if kept < 0:
        raise ValueError("The number of kept segments cannot be negative.")
    text = "".join(original[kept:])
    for rejected, chosen in corrections:
        replacements = _replacements(rejected, chosen)
        if replacements:
            lines = text.splitlines(keepends=True)
            text = "".join(_replaced(line, replacements) for line in lines)
    if not text.startswith(generated):
        raise ValueError("The text generated so far is not the beginning of the continuation.")
    return text[len(generated) :]


def _replacements(rejected: str, chosen: str) -> dict[Tokens, Tokens]:
    """Old to new, for the terms that the correction replaced throughout."""
    changes = diff(rejected, chosen)
    kept = tokens(chosen)
    found: dict[Tokens, Tokens] = {}
    for gone, come in pairwise(changes):
        if gone.op is not Op.DELETE or come.op is not Op.INSERT:
            continue
        old, new = _trimmed(gone.text), _trimmed(come.text)
        if _is_term(old) and _is_term(new):
            found[old] = new
    # All of them are looked up at once: a text written anew has thousands.
    left = _occurring(found, kept)
    return {old: new for old, new in found.items() if old not in left}


def _trimmed(text: str) -> Tokens:
    parts = tokens(text)
    worded = [at for at, part in enumerate(parts) if _LETTERS.match(part)]
    return tuple(parts[worded[0] : worded[-1] + 1]) if worded else ()


def _is_term(parts: Tokens) -> bool:
    if not 0 < len(parts) <= _LONGEST or any("\n" in part or "\r" in part for part in parts):
        return False
    return sum(bool(_HAN.match(part)) for part in parts) >= 2 or any(map(_is_specific, parts))


def _is_specific(word: str) -> bool:
    """A word that names something: with a digit, of three letters or more, or an acronym."""
    if _HAN.match(word) or not _LETTERS.match(word) or word.lower() in _COMMON:
        return False
    return len(word) > 2 or word.isdigit() or (len(word) == 2 and word.isupper())


def _occurring(terms: Collection[Tokens], parts: Sequence[str]) -> set[Tokens]:
    """The terms that stand in a text."""
    return {
        run
        for size in {len(term) for term in terms}
        for at in range(len(parts) - size + 1)
        if (run := tuple(parts[at : at + size])) in terms
    }


def _replaced(line: str, replacements: dict[Tokens, Tokens]) -> str:
    if slide_number(line.rstrip()) is not None:
        return line
    parts = tokens(line)
    sizes = sorted({len(term) for term in replacements}, reverse=True)
    written: list[str] = []
    at = 0
    while at < len(parts):
        for size in sizes:
            new = replacements.get(tuple(parts[at : at + size]))
            if new is not None:
                written += new
                at += size
                break
        else:
            written.append(parts[at])
            at += 1
    return "".join(written)
