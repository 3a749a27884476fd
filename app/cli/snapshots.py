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
snapshot_commands = typer.Typer(no_args_is_help=True, help="Freeze pairs under a name, for good.")
commands.add_typer(snapshot_commands, name="snapshot")

ProjectName = Annotated[str, typer.Argument(help="The project's name, as in its address.")]
SnapshotName = Annotated[str, typer.Argument(help="The snapshot's name.")]


@snapshot_commands.command("create")
def create(
    project: ProjectName,
    name: Annotated[str, typer.Argument(help="Small letters, digits, dots, dashes and _.")],
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILTER=VALUE",
            help=f"Which pairs; repeatable. Filters: {', '.join(FILTERS)}.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[str, typer.Option(help="Of its rows (docs/formats.md).")] = "trl",
    template: Annotated[
        Template, typer.Option(help="The chat template of the model that is to be trained.")
    ] = Template.QWEN2_5_VL,
    model: Annotated[
        Path | None,
        typer.Option(
            help="A model's directory: its own chat template renders the rows, and --template says "
            "only how tokens are estimated.",
            show_default=False,
        ),
    ] = None,
    allowed: Annotated[
        list[str] | None,
        typer.Option(
            "--allow", help="A check of the quality gate that lets all pass.", show_default=False
        ),
    ] = None,
    min_share: Annotated[
        float, typer.Option(help="Least share of the rejected side's length.", min=0, max=1)
    ] = MIN_SHARE,
    max_tokens: Annotated[
        int, typer.Option(help="Token budget of a row; 0: what the model reads.", min=0)
    ] = 0,
    validation: Annotated[float, typer.Option(help="Share of the samples, such as 0.1.")] = 0.0,
    test: Annotated[float, typer.Option(help="Share of the samples.")] = 0.0,
    separate_images: Annotated[
        bool, typer.Option("--separate-images", help="No image in two splits.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Another one divides differently.")] = 0,
    wait: Annotated[
        bool, typer.Option(help="Build it here and now; otherwise a worker does.")
    ] = True,
    data: Data = None,
) -> None:
    """Make a snapshot: the pairs as they stand now, in splits, as one zip file that never changes.

    The same filter on the same data gives the same content hash, which is printed.

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
            say(f"{name} waits for a worker.")
            return
        _say_made(made_here(settings, sessions, store, made.id), store)


@snapshot_commands.command("list")
def list_snapshots(project: ProjectName, data: Data = None) -> None:
    """List a project's snapshots, the newest first, a line each with tabs between.

    Name, state, pairs, format, content hash, file, who and when.

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
        int, typer.Option(help="Name so many pairs of each kind.", min=0, show_default=True)
    ] = 20,
    data: Data = None,
) -> None:
    """Say what changed from one snapshot to another, pair by pair, whatever their formats.

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
    """Delete a snapshot and its file; the audit log keeps its name and content hash.

    Examples:

        iterdpo snapshot delete lectures round-1
    """
    settings = settings_for(data=data)
    with transaction(settings) as db:
        found = queries.snapshot_named(db, project_id=_project(db, project).id, name=name)
        service.delete(db, store=SnapshotStore(settings.snapshots), snapshot=found, actor_id=None)
    say(f"{name} is deleted.")


@snapshot_commands.command("push")
def push(
    project: ProjectName,
    name: SnapshotName,
    repo: Annotated[str, typer.Argument(help="The dataset repository, as OWNER/NAME.")],
    license: Annotated[
        str, typer.Option(help="Its licence, as the hub calls it, such as cc-by-4.0.")
    ] = "",
    public: Annotated[
        bool, typer.Option("--public", help="Everybody may read it; otherwise only you.")
    ] = False,
    data: Data = None,
) -> None:
    """Upload a snapshot to the Hugging Face Hub as a dataset with a card.

    Needs huggingface_hub (pip install "iterdpo-studio[hub]") and a log-in there: hf auth login, or
    the variable HF_TOKEN.

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
        return "its file is gone"


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
