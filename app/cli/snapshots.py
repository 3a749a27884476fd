"""iterdpo snapshot: pairs frozen under a name."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli.console import Data, note, say, settings_for
from app.cli.export import gate_wanted
from app.cli.session import database, transaction
from app.cli.snapshot_progress import made_here
from app.database.sessions import Sessions, make_engine, make_sessions
from app.domain.filters import FILTERS, FilterError, PairFilter, parse_given
from app.domain.prompts import Template
from app.domain.quality import CHECKS, MIN_SHARE, Check
from app.domain.rowindex import Difference
from app.domain.splits import Split, SplitPlan
from app.exports.model_template import load_template
from app.exports.snapshot_store import SnapshotStore
from app.models import Project, SnapshotState
from app.refusals import Invalid, NotFound
from app.settings import Settings
from app.snapshots import hub, queries, service
from app.snapshots.queries import SnapshotView

commands = typer.Typer()
snapshot_commands = typer.Typer(
    no_args_is_help=True, help="Freeze pairs as named, immutable exports."
)
commands.add_typer(snapshot_commands, name="snapshot")

ProjectName = Annotated[str, typer.Argument(help="The project's name, as in its address.")]
SnapshotName = Annotated[str, typer.Argument(help="The snapshot's name.")]


@snapshot_commands.command("create")
def create(
    project: ProjectName,
    name: Annotated[
        str, typer.Argument(help="Lowercase letters, digits, dots, dashes and underscores.")
    ],
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILTER=VALUE",
            help=f"Include only matching pairs. Repeatable. Filters: {', '.join(FILTERS)}.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[str, typer.Option(help="Format of the rows (docs/formats.md).")] = "trl",
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
    allowed: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            help="Do not apply this check of the quality gate. Repeatable.",
            show_default=False,
        ),
    ] = None,
    min_share: Annotated[
        float,
        typer.Option(
            help="For the check `shorter`: minimum length of the chosen side, as a "
            "share of the rejected side.",
            min=0,
            max=1,
        ),
    ] = MIN_SHARE,
    max_tokens: Annotated[
        int,
        typer.Option(
            help="For the check `tokens`: maximum tokens per row. 0: the model's context length.",
            min=0,
        ),
    ] = 0,
    validation: Annotated[
        float, typer.Option(help="Share of the samples in the validation split, such as 0.1.")
    ] = 0.0,
    test: Annotated[float, typer.Option(help="Share of the samples in the test split.")] = 0.0,
    separate_images: Annotated[
        bool,
        typer.Option(
            "--separate-images", help="Keep samples that share an image in the same split."
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Seed of the splits. A different seed gives different splits.")
    ] = 0,
    wait: Annotated[
        bool, typer.Option(help="Build the snapshot now, or let a worker build it.")
    ] = True,
    data: Data = None,
) -> None:
    """Create a snapshot: the current pairs, in splits, as one zip file that never changes.

    Prints the content hash. The same filter on the same data gives the same hash.

    Examples:

        iterdpo snapshot create lectures round-1

        iterdpo snapshot create lectures round-2 --where on_policy=true --where round=2 \\
            --validation 0.1 --separate-images

        iterdpo snapshot create lectures kto-1 --format kto --no-wait
    """
    settings = settings_for(data=data)
    store = SnapshotStore(settings.snapshots)
    plan, gate = (
        _plan(validation, test, separate_images, seed),
        gate_wanted(template, allowed or [], min_share, max_tokens),
    )
    wanted = _filter(where or [])
    renderer = load_template(model) if model else None
    with _sessions(settings) as sessions:
        with sessions.begin() as db:
            made = service.create(
                db,
                store=store,
                project=_project(db, project),
                name=name,
                format=format,
                filter=wanted,
                gate=gate,
                plan=plan,
                actor_id=None,
                model=renderer,
            )
        if not wait:
            say(f"{name} is queued. A worker will build it.")
            return
        _say_made(made_here(settings, sessions, store, made.id), store)


@snapshot_commands.command("list")
def list_snapshots(project: ProjectName, data: Data = None) -> None:
    """List a project's snapshots, newest first, as lines of tab-separated fields.

    Fields: name, state, pairs, format, content hash, file, creator, time.

    Examples:

        iterdpo snapshot list lectures
    """
    settings = settings_for(data=data)
    store = SnapshotStore(settings.snapshots)
    with transaction(settings) as db:
        for view in queries.snapshots_of(db, project_id=_project(db, project).id):
            fields = (
                view.name,
                view.state.value,
                str((view.counts or {}).get("pairs", "-")),
                view.format,
                view.content_hash or "-",
                _place(store, view),
                view.created_by or "command line",
                f"{view.created_at:%FT%TZ}",
            )
            say("\t".join(fields))


@snapshot_commands.command("diff")
def diff(
    project: ProjectName,
    before: SnapshotName,
    after: SnapshotName,
    ids: Annotated[
        int,
        typer.Option(
            help="Number of pair ids to print for each kind of change.", min=0, show_default=True
        ),
    ] = 20,
    data: Data = None,
) -> None:
    """Compare two snapshots pair by pair. Their formats may differ.

    Examples:

        iterdpo snapshot diff lectures round-1 round-2

        iterdpo snapshot diff lectures round-1 round-2 --ids 100000
    """
    settings = settings_for(data=data)
    with transaction(settings) as db:
        project_id = _project(db, project).id
        found = queries.comparison(
            SnapshotStore(settings.snapshots),
            queries.snapshot_named(db, project_id=project_id, name=before),
            queries.snapshot_named(db, project_id=project_id, name=after),
            shown=ids,
        )
    say(f"same\t{found.same}")
    for kind in Difference:
        say("\t".join((kind.value, str(found.counts[kind]), *found.ids[kind])))


@snapshot_commands.command("delete")
def delete(project: ProjectName, name: SnapshotName, data: Data = None) -> None:
    """Delete a snapshot and its file. The audit log keeps its name and content hash.

    Examples:

        iterdpo snapshot delete lectures round-1
    """
    settings = settings_for(data=data)
    with transaction(settings) as db:
        found = queries.snapshot_named(db, project_id=_project(db, project).id, name=name)
        service.delete(db, store=SnapshotStore(settings.snapshots), snapshot=found, actor_id=None)
    say(f"Deleted the snapshot {name}.")


@snapshot_commands.command("push")
def push(
    project: ProjectName,
    name: SnapshotName,
    repo: Annotated[str, typer.Argument(help="Dataset repository, as OWNER/NAME.")],
    license: Annotated[
        str, typer.Option(help="Licence identifier of the hub, such as cc-by-4.0.")
    ] = "",
    public: Annotated[
        bool, typer.Option("--public", help="Create a public repository. Default: private.")
    ] = False,
    data: Data = None,
) -> None:
    """Upload a snapshot to the Hugging Face Hub as a dataset with a dataset card.

    Needs huggingface_hub (pip install "iterdpo-studio[hub]") and a log-in: run `hf auth login`
    or set HF_TOKEN.

    Examples:

        iterdpo snapshot push lectures round-1 ada/lectures-round-1 --license cc-by-4.0
    """
    settings = settings_for(data=data)
    store = SnapshotStore(settings.snapshots)
    with transaction(settings) as db:
        project_id = _project(db, project).id
        found = queries.snapshot_named(db, project_id=project_id, name=name)
        view = queries.snapshot_view(db, snapshot_id=found.id)
    address = hub.push(store, view, repo=repo, license=license, private=not public)
    say(address)


@contextmanager
def _sessions(settings: Settings) -> Iterator[Sessions]:
    with database(settings) as url:
        engine = make_engine(url, pool=6)
        try:
            yield make_sessions(engine)
        finally:
            engine.dispose()


def _place(store: SnapshotStore, view: SnapshotView) -> str:
    """Where its file is, or why there is none."""
    if view.state is not SnapshotState.READY:
        return view.error or "-"
    try:
        return str(store.archive(view.id, view.attempt))
    except NotFound:
        return "file missing"


def _say_made(view: SnapshotView, store: SnapshotStore) -> None:
    counts = view.counts or {}
    # In their own order: the database keeps the names of JSON in another.
    for split in (split for split in Split if split in counts["splits"]):
        own = counts["splits"][split]
        note(f"{split}: {own['rows']} rows, {own['samples']} samples, {own['images']} images.")
    for check, count in counts["left_out"].items():
        note(f"Left out {count}: {CHECKS[Check(check)][1]}")
    note(f"File: {store.archive(view.id, view.attempt)}")
    say(str(view.content_hash))


def _filter(words: Sequence[str]) -> PairFilter:
    pairs = [word.partition("=")[::2] for word in words]
    try:
        return parse_given(pairs)
    except FilterError as error:
        raise Invalid(f"--where {error.field}: {error.message}") from error


def _plan(validation: float, test: float, separate_images: bool, seed: int) -> SplitPlan:
    try:
        return SplitPlan(validation, test, separate_images, seed)
    except ValueError as error:
        raise Invalid(str(error)) from error


def _project(db: Session, name: str) -> Project:
    found = db.scalar(select(Project).where(Project.name == name))
    if found is None:
        raise NotFound(f"There is no project named {name}.")
    return found
