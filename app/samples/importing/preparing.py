"""Turns a sample as its file says it into one that can be written: title, language, segments."""

import hashlib
import json
from collections.abc import Sequence

from app.domain.rules import rule_of_parts
from app.domain.segments import LONG_SEGMENT_WORDS, Piece, Rule, RuleKind, split, words
from app.domain.text import language
from app.images.inspection import ImageFacts
from app.samples.importing.incoming import MAX_TITLE, GivenPiece, IncomingSample
from app.samples.importing.writing import NewSample


def prepared(
    sample: IncomingSample, images: tuple[ImageFacts, ...], *, rule: Rule, content_hash: bytes
) -> NewSample:
    """The sample cut by the project's rule. Where that finds no place to cut a long output,
    paragraphs or groups of sentences are taken. The sample keeps a rule that is not the project's,
    and the one that fits the segments that its file gives."""
    pieces, finer = _cut(sample, rule, len(images))
    given = sample.pieces or ()
    return NewSample(
        source_id=sample.source_id,
        title=_title(sample),
        instruction=sample.instruction,
        language=language(sample.output or sample.instruction),
        target_words=sample.target_words,
        metadata=sample.metadata,
        content_hash=content_hash,
        images=images,
        pieces=pieces,
        rule=finer or rule_of_parts([piece.text for piece in given], usual=rule),
        part_images=_part_images(given),
        recut=finer is not None,
        context=sample.context,
    )


def content_hash(sample: IncomingSample, images: tuple[ImageFacts, ...]) -> bytes:
    """SHA-256 of what the file says; what we derive from it (title, segments) may change."""
    content = {
        "title": sample.title,
        "instruction": sample.instruction,
        "images": sample.fingerprint or [image.given_sha256 or image.sha256 for image in images],
        "output": sample.output,
        "segments": sample.pieces and [piece.text for piece in sample.pieces],
        "length": sample.target_words,
        "metadata": sample.metadata,
    }
    # Only where there is one: what was imported before there were any keeps its hash.
    if sample.context:
        content["context"] = sample.context.to_json()
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def _cut(sample: IncomingSample, rule: Rule, images: int) -> tuple[tuple[Piece, ...], Rule | None]:
    """The segments, and the rule where a finer one than the project's was needed."""
    if sample.pieces is not None:
        return tuple(Piece(piece.text, piece.image_index) for piece in sample.pieces), None
    pieces = split(sample.output, rule, images=images, fallback=False)
    if len(pieces) != 1 or words(sample.output) <= LONG_SEGMENT_WORDS:
        return tuple(pieces), None
    for kind in (RuleKind.PARAGRAPHS, RuleKind.SENTENCES):
        finer = Rule(kind, rule.words)
        found = split(sample.output, finer, fallback=False)
        if len(found) > 1:
            return tuple(found), finer
    return tuple(pieces), None


def _part_images(given: Sequence[GivenPiece]) -> tuple[int, ...] | None:
    """The images of the given segments where each speaks of one, further on than the one before."""
    images = [piece.image_index for piece in given if piece.image_index is not None]
    if not given or len(images) < len(given) or images != sorted(set(images)):
        return None
    return tuple(images)


def _title(sample: IncomingSample) -> str:
    """The file's own title, else an id that says something, else how the instruction begins."""
    if sample.title:
        return sample.title
    if any(map(str.isalpha, sample.source_id)):
        return sample.source_id
    first = sample.instruction.strip().splitlines()[0]
    return first if len(first) <= MAX_TITLE // 3 else f"{first[: MAX_TITLE // 3 - 1].rstrip()}…"
