"""iterdpo import: add samples to a project."""

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli.console import Data, note, say, settings_for
from app.cli.session import progress, transaction
from app.images.store import ImageStore
from app.models import Project
from app.refusals import NotFound
from app.samples.importing import ImportOptions, Progress, import_path
from app.samples.importing.mapping import parse_map
from app.samples.importing.preview import Preview, preview
from app.samples.importing.sources import INSTRUCTION

commands = typer.Typer()
_SEGMENTS = 10

ProjectName = Annotated[str, typer.Argument(help="The project's name, as in its address.")]


@commands.command("import")
def import_samples(
    project: ProjectName,
    path: Annotated[
        Path,
        typer.Argument(
            help="Data file (.jsonl, .json, .parquet, .arrow), folder or .zip of such "
            "files with their images, folder of slides and scripts, or PDF deck.",
            exists=True,
        ),
    ],
    policy: Annotated[
        str, typer.Option(help="Model that wrote the outputs, with its revision.")
    ] = "imported",
    instruction: Annotated[
        str | None,
        typer.Option(
            help="Instruction for files that contain none, such as PDF decks.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Text file with the model's output for a PDF deck.", exists=True),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="Read FIELD from COLUMN, where their names differ. Repeatable.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing. Print what the file contains.")
    ] = False,
    data: Data = None,
) -> None:
    """Add samples to a project. If anything is wrong, add none and list the errors.

    Importing the same files again changes nothing. Formats: docs/importing.md.

    Examples:

        iterdpo import lectures samples.jsonl --policy qwen2.5-vl-7b@main

        iterdpo import lectures courses/ --instruction "Write the script of this lecture."

        iterdpo import lectures deck.pdf --output script.txt

        iterdpo import lectures data/ --dry-run --map instruction=question --map length=L
    """
    settings = settings_for(data=data)
    options = ImportOptions(
        policy=policy,
        instruction=instruction or INSTRUCTION,
        output=output,
        columns=parse_map(mapped or ()),
    )
    if dry_run:
        with transaction(settings) as db:
            found = _project(db, project)
            rule, words = found.rule, found.rule_words
        _say_preview(preview(path, options, rule=rule, rule_words=words))
        return
    store = ImageStore(settings.images, max_megapixels=settings.max_image_megapixels)
    with transaction(settings) as db, progress() as bars:
        bar = bars.add_task("Importing", total=1.0)

        def advance(state: Progress) -> None:
            bars.update(
                bar,
                completed=state.fraction,
                description=f"{state.samples} samples, {state.images} images",
            )

        report = import_path(
            db,
            project=_project(db, project),
            path=path,
            store=store,
            actor_id=None,
            options=options,
            progress=advance,
        )
    say(
        f"Added {report.added} samples with {report.segments} segments and {report.images} images; "
        f"{report.unchanged} existed already."
    )
    for notice in report.notices:
        note(notice)
    if report.recut:
        note(f"{report.recut} of them were cut by another rule: the project's found no boundary.")


def _say_preview(found: Preview) -> None:
    """Print what the file contains, then each of the first samples."""
    say(f"{found.kind}: {found.samples:,} samples, {found.images:,} images, {found.files} files.")
    if found.mapped:
        say("Columns: " + ", ".join(f"{field}={column}" for field, column in found.mapped))
    say("Languages: " + ", ".join(f"{name} {count:,}" for name, count in found.languages))
    say(f"Without output: {found.without_output:,}. In a conversation: {found.with_context:,}.")
    for sample in found.first:
        say(f"\n{sample.source_id}: {sample.images} images, {len(sample.segments)} segments")
        say(f"  {sample.instruction}")
        for number, segment in enumerate(sample.segments[:_SEGMENTS], start=1):
            say(f"  {number}. {segment}")
        if len(sample.segments) > _SEGMENTS:
            say(f"  … {len(sample.segments) - _SEGMENTS} more")
    for warning in found.warnings:
        note(f"Warning: {warning}")
    if found.refused is not None:
        raise found.refused


def _project(db: Session, name: str) -> Project:
    found = db.scalar(select(Project).where(Project.name == name))
    if found is None:
        raise NotFound(f"There is no project named {name}. Add it: iterdpo project add {name}")
    return found
