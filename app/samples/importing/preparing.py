"""Turns a sample as its file says it into one that can be written: title, language, segments."""

import hashlib
import json

from app.domain.segments import Piece, Rule, RuleKind, split, words
from app.domain.text import language
from app.images.inspection import ImageFacts
from app.samples.importing.incoming import MAX_TITLE, IncomingSample
from app.samples.importing.writing import NewSample

# What a person can still read and correct as one segment.
_LONG_SEGMENT_WORDS = 400


def prepared(
    sample: IncomingSample, images: tuple[ImageFacts, ...], *, rule: Rule, content_hash: bytes
) -> NewSample:
    """The sample cut by the rule. Where the rule finds no place to cut a long output, paragraphs or
    groups of sentences are taken, and the metadata say so: "rule"."""
    metadata = dict(sample.metadata)
    pieces, other = _cut(sample, rule, len(images))
    if other is not None:
        metadata["rule"] = other.value
    return NewSample(
        source_id=sample.source_id,
        title=_title(sample),
        instruction=sample.instruction,
        language=language(sample.output or sample.instruction),
        target_words=sample.target_words,
        metadata=metadata,
        content_hash=content_hash,
        images=images,
        pieces=pieces,
        recut=other is not None,
    )


def content_hash(sample: IncomingSample, images: tuple[ImageFacts, ...]) -> bytes:
    """SHA-256 of what the file says; what we derive from it (title, segments) may change."""
    content = {
        "title": sample.title,
        "instruction": sample.instruction,
        "images": sample.fingerprint or [image.sha256 for image in images],
        "output": sample.output,
        "segments": sample.pieces and [piece.text for piece in sample.pieces],
        "length": sample.target_words,
        "metadata": sample.metadata,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def _cut(
    sample: IncomingSample, rule: Rule, images: int
) -> tuple[tuple[Piece, ...], RuleKind | None]:
    """The segments, and the rule where it is not the project's own."""
    if sample.pieces is not None:
        return tuple(Piece(piece.text, piece.image_index) for piece in sample.pieces), None
    pieces = split(sample.output, rule, images=images)
    if len(pieces) != 1 or words(sample.output) <= _LONG_SEGMENT_WORDS:
        return tuple(pieces), None
    for kind in (RuleKind.PARAGRAPHS, RuleKind.SENTENCES):
        finer = split(sample.output, Rule(kind, rule.words))
        if len(finer) > 1:
            return tuple(finer), kind
    return tuple(pieces), None


def _title(sample: IncomingSample) -> str:
    """The file's own title, else an id that says something, else how the instruction begins."""
    if sample.title:
        return sample.title
    if any(map(str.isalpha, sample.source_id)):
        return sample.source_id
    first = sample.instruction.strip().splitlines()[0]
    return first if len(first) <= MAX_TITLE // 3 else f"{first[: MAX_TITLE // 3 - 1].rstrip()}…"
