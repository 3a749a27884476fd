"""What every row must stand up to before anything is trained on it.

Two kinds: a row that is unfit is left out, counted and named; a fault of model and template
together, which would spoil every row, stops the run.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from iterdpo.models import image_tokens
from iterdpo.refusals import TrainingRefusal
from iterdpo.rendering import Rendered, Renderer, messages_of
from iterdpo.rows import Row

# Rows that go through the trainer's own collator, images and all; the others are only tokenised.
SAMPLE = 16
# Names of rows in a message.
NAMED = 5
# What transformers labels a token with that takes no loss.
_NO_LOSS = -100
_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class Good:
    """A row that is fit. tokens: of prompt, images and the longer side that is trained on."""

    row: Row
    rendered: Rendered
    tokens: int


@dataclass(frozen=True, slots=True)
class Checked:
    """left_out: pair ids by reason. shifted: rows whose sides tokenise differently alone than
    behind the prefix, which costs a little accuracy at the boundary and is no fault."""

    good: Sequence[Good]
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shifted: int = 0


def check_rows(
    rows: Sequence[Row],
    renderer: Renderer,
    image: Callable[[str], Path],
    *,
    max_tokens: int | None = None,
    imitate: bool = False,
) -> Checked:
    """Render the rows and check each. imitate: only the chosen side is trained on, so each stands
    once under its prompt. Raises TrainingRefusal for a fault of model and template."""
    good: list[Good] = []
    left_out: dict[str, list[str]] = defaultdict(list)
    faults: dict[str, list[str]] = defaultdict(list)
    shifted = 0
    measure = _Measure(renderer.processor, image)
    taught: set[tuple[object, ...]] = set()
    for row in rows:
        if reason := _unfit(row, renderer.special):
            left_out[reason].append(row.pair_id)
            continue
        rendered = renderer.render(row)
        ids = _Ids(renderer.tokenizer, rendered)
        if fault := _fault(row, rendered, ids, renderer):
            faults[fault].append(row.pair_id)
            continue
        if ids.chosen == ids.rejected:
            # They differ in what the tokenizer makes equal: of this row, no fault of the template.
            left_out["both sides are the same tokens"].append(row.pair_id)
            continue
        lesson = (row.images, rendered.prompt, rendered.chosen)
        if imitate and lesson in taught:
            left_out["the same chosen side under the same prefix"].append(row.pair_id)
            continue
        tokens = ids.length(chosen_only=imitate) + sum(
            measure.tokens(sha256) - 1 for sha256 in row.images
        )
        if max_tokens is not None and tokens > max_tokens:
            left_out[f"longer than {max_tokens} tokens"].append(row.pair_id)
            continue
        taught.add(lesson)
        shifted += _shifts(renderer.tokenizer, rendered)
        good.append(Good(row, rendered, tokens))
    if faults:
        told = [f"{reason} (pairs {_named(ids)})" for reason, ids in faults.items()]
        raise TrainingRefusal("These rows cannot be trained on with this model: " + "; ".join(told))
    return Checked(good, dict(left_out), shifted)


def check_batches(good: Sequence[Good], renderer: Renderer, collator: Any, rows: Any) -> int:
    """Put a sample of the rows through the trainer's own collator, one by one; returns how many.

    rows: the table that the trainer will read, in the order of good. Raises TrainingRefusal when
    the tokens under the loss are not exactly the segment, or images are not those of the row.
    """
    chosen = _spread(good)
    for index in chosen:
        it = good[index]
        batch = collator([rows[index]])
        texts = loss_texts(batch, renderer.tokenizer)
        # SFT's collator gives labels, and has the chosen side alone.
        sides = [it.rendered.chosen, it.rendered.rejected][: 1 if "labels" in batch else 2]
        expected = [normal(renderer.tokenizer, text) for text in sides]
        if texts != expected:
            raise TrainingRefusal(
                f"Pair {it.row.pair_id}: the loss would be on {texts}, not on {expected}."
            )
        grid = batch.get("image_grid_thw")
        # Each side brings the images.
        shown = 0 if grid is None else len(grid) // len(sides)
        if shown != len(it.row.images):
            raise TrainingRefusal(
                f"Pair {it.row.pair_id}: {shown} images reach the model, not {len(it.row.images)}."
            )
        if int(batch["attention_mask"].sum(dim=1).max()) != it.tokens:
            raise TrainingRefusal(
                f"Pair {it.row.pair_id}: the batch is not as long as it was counted."
            )
    return len(chosen)


def loss_texts(batch: Mapping[str, Any], tokenizer: Any) -> list[str]:
    """What the trainer puts its loss on: the text of each sequence of a batch."""
    masks = batch["labels"] != _NO_LOSS if "labels" in batch else batch["completion_mask"].bool()
    return [
        tokenizer.decode(ids[mask], clean_up_tokenization_spaces=False)
        for ids, mask in zip(batch["input_ids"], masks, strict=True)
    ]


def normal(tokenizer: Any, text: str) -> str:
    """The text as the tokenizer takes it in (Qwen's composes characters, NFC)."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    return text if normalizer is None else str(normalizer.normalize_str(text))


class _Ids:
    """The token ids of a rendered row, images still one token each."""

    def __init__(self, tokenizer: Any, rendered: Rendered) -> None:
        texts = [rendered.prompt, rendered.chosen, rendered.rejected]
        self.prompt, self.chosen, self.rejected = tokenizer(texts, add_special_tokens=False)[
            "input_ids"
        ]

    def length(self, *, chosen_only: bool) -> int:
        sides = [self.chosen] if chosen_only else [self.chosen, self.rejected]
        return len(self.prompt) + max(map(len, sides))


class _Measure:
    """How many tokens images take; each is opened once."""

    def __init__(self, processor: Any, image: Callable[[str], Path]) -> None:
        self._processor = processor
        self._image = image
        self._known: dict[str, int] = {}

    def tokens(self, sha256: str) -> int:
        if sha256 not in self._known:
            with Image.open(self._image(sha256)) as opened:
                width, height = opened.size
                # datasets turns a picture as its camera says; its size turns with it.
                if opened.getexif().get(_ORIENTATION) in _TURNED:
                    width, height = height, width
            self._known[sha256] = image_tokens(self._processor, width, height)
        return self._known[sha256]


def _unfit(row: Row, special: Sequence[str]) -> str | None:
    if not row.chosen.strip() or not row.rejected.strip():
        return "a side is empty"
    if row.chosen == row.rejected:
        return "both sides are the same"
    for name in ("instruction", "prefix", "chosen", "rejected"):
        text = getattr(row, name)
        if any(string in text for string in special):
            return f"special string of the model in {name}"
    if any(string in text for text in row.context_texts for string in special):
        return "special string of the model in an earlier message"
    return None


def _fault(row: Row, rendered: Rendered, ids: _Ids, renderer: Renderer) -> str | None:
    tokenizer = renderer.tokenizer
    places = ids.prompt.count(renderer.processor.image_token_id)
    if places != len(row.images):
        return "the template does not give every image one place"
    for side, text in ((ids.chosen, rendered.chosen), (ids.rejected, rendered.rejected)):
        if not side:
            return "no token would be under the loss"
        decoded = tokenizer.decode(side, clean_up_tokenization_spaces=False)
        if decoded != normal(tokenizer, text):
            return "the tokens under the loss do not spell the segment"
    if not rendered.prompt.endswith(row.prefix) or not _keeps(row, rendered.prompt):
        return "the template changes the instruction"
    return None


def _keeps(row: Row, prompt: str) -> bool:
    """Whether the texts stand in the prompt, each in its turn."""
    at = 0
    for message in messages_of(row):
        for part in message["content"]:
            if part["type"] == "text":
                at = prompt.find(part["text"], at)
                if at < 0:
                    return False
                at += len(part["text"])
    return True


def _shifts(tokenizer: Any, rendered: Rendered) -> bool:
    """Whether tokens join across the end of the prefix when both are tokenised together."""
    before, behind = rendered.prompt[-200:], rendered.chosen[:200]
    encoded = tokenizer(before + behind, add_special_tokens=False, return_offsets_mapping=True)
    edge = len(before)
    return any(start < edge < end for start, end in encoded["offset_mapping"])


def _spread(good: Sequence[Good]) -> list[int]:
    """Indices of the longest row, one of each kind, and others evenly over the rest."""
    if len(good) <= SAMPLE:
        return list(range(len(good)))
    kinds: dict[tuple[bool, int], int] = {}
    for index, it in enumerate(good):
        kinds.setdefault((it.row.ends_output, min(len(it.row.images), 2)), index)
    longest = max(range(len(good)), key=lambda index: good[index].tokens)
    first = dict.fromkeys([longest, *kinds.values()])
    rest = (round(step * (len(good) - 1) / SAMPLE) for step in range(SAMPLE + 1))
    return sorted([*first, *_new(rest, first)][:SAMPLE])


def _new(indices: Iterator[int], known: Mapping[int, None]) -> Iterator[int]:
    return (index for index in dict.fromkeys(indices) if index not in known)


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more
