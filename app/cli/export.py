"""iterdpo export: write a project's pairs as files for a trainer."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from app.cli.console import Data, note, say, settings_for, settle
from app.cli.session import progress, transaction
from app.domain.corrections import Kind
from app.domain.filters import FILTERS, FilterError, PairFilter, parse_given, spelled
from app.domain.formats import UNHELD
from app.domain.prompts import Template
from app.domain.quality import CHECKS, MIN_SHARE, NEVER_ALLOWED, Check, Gate, allow
from app.exports.counts import Tally
from app.exports.export import Order, export_directory, exporting
from app.exports.formats import FORMATS, Rendering, format_named
from app.exports.model_template import load_template
from app.exports.selection import project_ids
from app.exports.sinks import StreamSink
from app.images.store import ImageStore
from app.refusals import Invalid
from app.settings import Settings

commands = typer.Typer()

_ALLOWABLE = ", ".join(check for check in Check if check not in NEVER_ALLOWED)
_FORMATS = "; ".join(f"{form.name}: {form.title}" for form in FORMATS.values())


def _filter(name: str, *flags: str, **rest: Any) -> Any:
    """An option for one filter of app/domain/filters.py."""
    return typer.Option(
        *(flags or (f"--{name.replace('_', '-')}",)),
        help=FILTERS[name],
        rich_help_panel="Filters",
        show_default=False,
        **rest,
    )


def _gate(flag: str, words: str, **rest: Any) -> Any:
    return typer.Option(flag, help=words, rich_help_panel="Quality gate", **rest)


@commands.command()
def export(
    project: Annotated[str, typer.Argument(help="The project's name, as in its address.")],
    out: Annotated[
        str,
        typer.Argument(
            help="Directory to write; replaces an earlier export. A dash (-) writes "
            "only the rows, to standard output. Not needed with --dry-run.",
            show_default=False,
        ),
    ] = "",
    format: Annotated[str, typer.Option(help=f"{_FORMATS}.")] = "trl",
    template: Annotated[
        Template, typer.Option(help="Chat template of the model to train.")
    ] = Template.QWEN2_5_VL,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Directory of a model. Its own chat template renders the rows; "
            "--template then only affects the token estimate.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Write nothing. Print how many rows would be written and what the "
            "quality gate leaves out.",
        ),
    ] = False,
    more: Annotated[list[str] | None, _filter("project")] = None,
    policy: Annotated[list[str] | None, _filter("policy")] = None,
    round: Annotated[list[int] | None, _filter("round", min=0)] = None,
    annotator: Annotated[list[str] | None, _filter("annotator")] = None,
    kind: Annotated[list[Kind] | None, _filter("kind")] = None,
    on_policy: Annotated[bool | None, _filter("on_policy", "--on-policy/--off-policy")] = None,
    reviewed: Annotated[bool | None, _filter("reviewed", "--reviewed/--not-reviewed")] = None,
    since: Annotated[str | None, _filter("since", metavar="DAY")] = None,
    until: Annotated[str | None, _filter("until", metavar="DAY")] = None,
    min_position: Annotated[int | None, _filter("min_position", min=0)] = None,
    max_position: Annotated[int | None, _filter("max_position", min=0)] = None,
    min_edit: Annotated[int | None, _filter("min_edit", min=0)] = None,
    max_edit: Annotated[int | None, _filter("max_edit", min=0)] = None,
    language: Annotated[list[str] | None, _filter("language")] = None,
    tag: Annotated[list[str] | None, _filter("tag")] = None,
    newest_only: Annotated[bool, _filter("newest_only", "--newest-only")] = False,
    limit_per_sample: Annotated[int | None, _filter("limit_per_sample", min=1)] = None,
    allowed: Annotated[
        list[str] | None,
        _gate("--allow", f"Do not apply this check: {_ALLOWABLE}. Repeatable.", show_default=False),
    ] = None,
    min_share: Annotated[
        float,
        _gate(
            "--min-share",
            "For the check `shorter`: minimum length of the chosen side, as a "
            "share of the rejected side.",
            min=0,
            max=1,
        ),
    ] = MIN_SHARE,
    max_tokens: Annotated[
        int,
        _gate(
            "--max-tokens",
            "For the check `tokens`: maximum tokens per row. 0: the model's context length.",
            min=0,
        ),
    ] = 0,
    data: Data = None,
) -> None:
    """Write a project's preference pairs as files that a trainer loads without changes.

    The directory appears complete or not at all. It contains a README.md that explains how to train
    with it and a manifest of what was written and what the quality gate left out. A filter with
    names or numbers can be repeated; a pair then needs to match one of its values.

    Examples:

        iterdpo export lectures trl

        iterdpo export lectures --dry-run --on-policy --reviewed

        iterdpo export lectures /data/round1 --template qwen3-vl --round 1 --min-edit 5

        iterdpo export lectures kto --format kto --model /models/ours --since 2026-11-01

        iterdpo export lectures - --format raw --since 2026-11-01 > new.jsonl
    """
    wanted = _wanted(
        project=[project, *(more or [])],
        policy=policy,
        round=round,
        annotator=annotator,
        kind=kind,
        on_policy=on_policy,
        reviewed=reviewed,
        since=since,
        until=until,
        min_position=min_position,
        max_position=max_position,
        min_edit=min_edit,
        max_edit=max_edit,
        language=language,
        tag=tag,
        newest_only=newest_only or None,
        limit_per_sample=limit_per_sample,
    )
    gate = gate_wanted(template, allowed or [], min_share, max_tokens)
    form = format_named(format)
    if not out and not dry_run:
        raise Invalid("Name the directory to write, or use --dry-run.")
    folder = Path(out).name if out not in ("", "-") else form.name
    renderer = load_template(model) if model else template
    order = Order(wanted, form, Rendering(renderer, folder=folder, project=project), gate)
    # What is loaded now stays: looking for garbage in it would cost a tenth of the time.
    settle()
    settings = settings_for(data=data)
    with transaction(settings) as db:
        if dry_run:
            _look(db, order)
        elif out == "-":
            _stream(db, order, settings)
        else:
            _write(db, order, Path(out), settings)


def _wanted(**given: object) -> PairFilter:
    """The filter that the options spell; an error names the option."""
    set_ones = {name: value for name, value in given.items() if value is not None}
    try:
        return parse_given(spelled(set_ones))
    except FilterError as error:
        raise Invalid(f"--{error.field.replace('_', '-')}: {error.message}") from None


def gate_wanted(
    template: Template, allowed: Sequence[str], min_share: float, max_tokens: int
) -> Gate:
    """The gate that the options spell; an error names the option."""
    try:
        # The other two were held to their ranges when the options were read.
        return Gate(template, allow(allowed), min_share, max_tokens)
    except ValueError as error:
        raise Invalid(f"--allow: {error}") from None


def _look(db: Session, order: Order) -> None:
    kind = order.kind
    selection = kind.select(db, order.wanted, project_ids(db, order.wanted))
    unheld: Counter[str] = Counter()
    found = kind.look(
        lambda: nullcontext(db),
        selection,
        order.wanted,
        order.gate,
        lambda one: unheld.update(order.format.unheld(one.item, order.rendering)),
    )
    asked = found.passed + sum(found.found.values()) - len(selection.taken_back)
    say(f"{found.passed} of {asked} matching {kind.nouns} would be written.")
    for check in Check:
        if count := found.found.get(check, 0):
            first = ", ".join(found.examples[check][:10])
            say(f"{count} left out by {check.value}: {CHECKS[check][1]}\n  {kind.nouns} {first}")
    _tell_unheld(unheld)
    if found.found.keys() - NEVER_ALLOWED:
        note("To include what a check finds, add --allow CHECK.")


def _write(db: Session, order: Order, out: Path, settings: Settings) -> None:
    with progress() as bars:
        bar = bars.add_task(f"Exporting {order.kind.nouns}", total=None)
        tally = export_directory(
            db,
            order,
            projects=project_ids(db, order.wanted),
            out=out,
            store=ImageStore(settings.images),
            on_progress=lambda done, total: bars.update(bar, completed=done, total=total),
        )
    say(f"Wrote {tally.pairs} {order.kind.nouns} and {tally.images} images to {out}.")
    _tell(tally)
    if tally.text_only and order.format.images_first:
        note(f"No {order.kind.noun} has an image: load it as JSON, as its README.md says.")


def _stream(db: Session, order: Order, settings: Settings) -> None:
    if len(order.format.files) > 1 or order.format.table:
        raise Invalid(f"The format {order.format.name} needs more than one file: name a directory.")
    selection = order.kind.select(db, order.wanted, project_ids(db, order.wanted))
    steps = exporting(
        lambda: nullcontext(db),
        selection,
        order,
        sink=StreamSink(sys.stdout.buffer),
        store=ImageStore(settings.images),
    )
    while True:
        try:
            next(steps)
        except StopIteration as end:
            _tell(end.value)
            return


def _tell(tally: Tally) -> None:
    for check, count in tally.left_out.items():
        note(f"Left out {count} ({check.value}): {CHECKS[check][1]}")
    _tell_unheld(tally.unheld)


def _tell_unheld(unheld: Mapping[str, int]) -> None:
    for file, count in unheld.items():
        note(f"Left out of {file} only: {count}. {UNHELD}")
