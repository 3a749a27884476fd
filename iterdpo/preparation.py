"""All that can go wrong before the first step, done before it: data, rendering, checks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trl.trainer.dpo_trainer import DataCollatorForVisionPreference
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from iterdpo.checks import Checked, Good, check_batches, check_rows
from iterdpo.config import Config
from iterdpo.dense import DenseCollator
from iterdpo.models import load_processor
from iterdpo.pixels import readable
from iterdpo.refusals import TrainingRefusal
from iterdpo.rendering import Renderer
from iterdpo.report import data_facts
from iterdpo.rows import TRAIN, VALIDATION, Row, Source, data_hash, held_out
from iterdpo.sources import open_source
from iterdpo.tables import IMITATION, PREFERENCE, training_table


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a trainer is made of. held_out: a table to evaluate with, None without one."""

    renderer: Renderer
    collator: Any
    table: Any
    held_out: Any | None
    facts: dict[str, Any]


def prepare(config: Config, *, again: bool, say: Callable[[str], None]) -> Prepared:
    """Raises TrainingRefusal. again: this run has begun before and must see the same pairs."""
    renderer = Renderer(load_processor(config))
    place = config.output / "data"
    source = open_source(config, place, again=again, say=say)
    checked = check_rows(
        [row for rows in source.splits.values() for row in rows],
        renderer,
        source.image,
        max_tokens=config.data.max_tokens,
        imitate=config.training.imitates,
    )
    checked = replace(checked, left_out={**source.left_out, **checked.left_out})
    for reason, ids in checked.left_out.items():
        say(f"Left out {len(ids)}: {reason}.")
    used, aside = _split(config, source, checked)
    digest = data_hash([it.row for it in used])
    facts = data_facts(checked, source=source.name, used=used, held_out=aside, digest=digest)
    table = _table(used, source, config, renderer, digest)
    collator = _collator(config, renderer)
    tried = check_batches(used, renderer, _plain_collator(config, renderer), table)
    say(_summary(facts, tried))
    evaluated = None
    if aside:
        evaluated = _table(aside, source, config, renderer, data_hash([it.row for it in aside]))
    return Prepared(renderer, collator, table, evaluated, facts)


def _split(config: Config, source: Source, checked: Checked) -> tuple[list[Good], list[Good]]:
    """Rows to train on and to evaluate with: the directory's own splits, or eval_share."""
    good = {it.row: it for it in checked.good}

    def fit(rows: Sequence[Row]) -> list[Row]:
        return [row for row in rows if row in good]

    train, aside = fit(source.splits[TRAIN]), fit(source.splits.get(VALIDATION, ()))
    if not aside:
        train, aside = held_out(train, config.data.eval_share, config.training.seed)
    if not train:
        raise TrainingRefusal(f"{source.name} has no pair to train on.")
    return [good[row] for row in train], [good[row] for row in aside]


def _table(
    rows: Sequence[Good], source: Source, config: Config, renderer: Renderer, digest: str
) -> Any:
    imitate = config.training.imitates

    def sides(it: Good) -> dict[str, str]:
        if imitate:
            return {"completion": it.rendered.chosen}
        return {"chosen": it.rendered.chosen, "rejected": it.rendered.rejected}

    return training_table(
        (
            {
                "images": [str(readable(source.image(sha256))) for sha256 in it.row.images],
                "prompt": it.rendered.prompt,
                "pair_id": it.row.pair_id,
            }
            | sides(it)
            for it in rows
        ),
        IMITATION if imitate else PREFERENCE,
        config.output / "data" / "tables",
        # The same rows are other strings for another template, other columns for SFT.
        f"{digest[:32]}{renderer.template_hash[:16]}{'sft' if imitate else ''}",
    )


def _collator(config: Config, renderer: Renderer) -> Any:
    weight = config.training.changed_weight
    if weight == 1.0:
        return _plain_collator(config, renderer)
    return DenseCollator(renderer.processor, weight=weight)


def _plain_collator(config: Config, renderer: Renderer) -> Any:
    if config.training.imitates:
        return DataCollatorForVisionLanguageModeling(
            renderer.processor, max_length=None, completion_only_loss=True
        )
    return DataCollatorForVisionPreference(renderer.processor)


def _summary(facts: dict[str, Any], tried: int) -> str:
    tokens = facts["tokens"]
    return (
        f"{facts['pairs']} pairs to train on ({facts['last_segments']} end an output, "
        f"{facts['with_images']} with images), {facts['held_out']} to evaluate with. "
        f"Longest row {tokens['longest']} tokens, median {tokens['median']}. "
        f"Every row's segment is what the loss is on; {tried} went through the trainer's collator."
    )
