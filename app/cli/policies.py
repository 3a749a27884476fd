"""iterdpo policy: which model or adapter writes the texts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import Data, note, say, settings_for
from app.cli.session import database
from app.database.sessions import Sessions, make_engine, make_sessions
from app.policies import queries, service
from app.policies.fingerprint import read_adapter
from app.policies.queries import PolicyView, Use
from app.refusals import Conflict, Invalid, NotFound

commands = typer.Typer()
policy_commands = typer.Typer(
    no_args_is_help=True, help="Add adapters, and choose which one writes the texts."
)
commands.add_typer(policy_commands, name="policy")

_LOOK_S = 0.1

Name = Annotated[str, typer.Argument(help="The policy's name.")]
Wait = Annotated[
    float,
    typer.Option(help="So long, in seconds, to wait for the workers to load it.", min=0),
]


@policy_commands.command("add")
def add(
    name: Annotated[
        str,
        typer.Argument(help="1 to 64 letters, digits, dots, dashes, _; pairs name their policy."),
    ],
    adapter: Annotated[
        Path,
        typer.Option(
            help="Directory of a LoRA adapter in PEFT's form; the model server must see it under "
            "the same path.",
            exists=True,
            file_okay=False,
        ),
    ],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model that it belongs to, as the model server names it [the adapter's own "
            "configuration says it].",
            show_default=False,
        ),
    ] = None,
    round: Annotated[
        int | None,
        typer.Option(
            help="Round of training [one after the latest of its model].",
            min=0,
            show_default=False,
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Revision of the base model.", show_default=False)
    ] = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="New regenerations are written with it.")
    ] = False,
    wait: Wait = 30.0,
    data: Data = None,
) -> None:
    """Add a LoRA adapter as a policy. What it is never changes: a hash of its files is kept.

    Adding the same again changes nothing; another adapter needs another name.

    Examples:

        iterdpo policy add round-1 --adapter /srv/adapters/round-1 --activate

        iterdpo policy add round-2 --adapter out/r2 --base Qwen/Qwen2.5-VL-7B-Instruct --round 2
    """
    directory = adapter.absolute()
    found = read_adapter(directory)
    if not base and not found.base_model:
        raise Invalid("The adapter does not say which model it belongs to: give --base MODEL.")
    with _sessions(data) as sessions:
        with sessions.begin() as db:
            policy = service.register(
                db,
                name=name,
                adapter=str(directory),
                adapter_hash=found.sha256,
                base_model=base or found.base_model,
                revision=found.revision if revision is None else revision,
                round=round,
            )
            say(f"{policy.name} is round {policy.round} of {policy.base_model}.")
            policy_id = policy.id
        if activate:
            _activate(sessions, policy_id, wait)


@policy_commands.command("list")
def list_policies(data: Data = None) -> None:
    """List the policies: name, round, state, base model, how many segments and pairs each wrote.

    Examples:

        iterdpo policy list
    """
    with _sessions(data) as sessions, sessions() as db:
        found = queries.policies(db)
    say("name\tround\tstate\tsegments\tpairs\tmodel")
    for policy in found:
        say(
            f"{policy.name}\t{policy.round}\t{policy.use}\t{policy.segments}"
            f"{'' if policy.counted_all else '+'}\t{policy.pairs}\t"
            f"{policy.base_model or policy.engine}"
        )
        for worker, reason in policy.refusals.items():
            note(f"{policy.name} is not loaded by {worker}: {reason}")


@policy_commands.command("activate")
def activate(name: Name, wait: Wait = 30.0, data: Data = None) -> None:
    """Have new regenerations written with an adapter; those that run finish as they began.

    Exit status 1 when a worker's model server does not take it: what was used before goes on.

    Examples:

        iterdpo policy activate round-1
    """
    with _sessions(data) as sessions:
        with sessions() as db:
            policy_id = queries.policy_id_of(db, name)
        _activate(sessions, policy_id, wait)


@policy_commands.command("deactivate")
def deactivate(
    name: Annotated[
        str | None,
        typer.Argument(help="The active policy [the only one there is].", show_default=False),
    ] = None,
    data: Data = None,
) -> None:
    """Have new regenerations written with the base model alone again.

    Examples:

        iterdpo policy deactivate
    """
    with _sessions(data) as sessions, sessions.begin() as db:
        if name is not None:
            policy_id = queries.policy_id_of(db, name)
        else:
            active = [one for one in queries.policies(db) if one.active]
            if not active:
                raise NotFound("No adapter is active: the base models write already.")
            if len(active) > 1:
                names = ", ".join(one.name for one in active)
                raise Conflict(f"Several adapters are active, of several models: choose {names}.")
            policy_id = active[0].id
        policy = service.deactivate(db, policy_id=policy_id)
        say(f"{policy.name} is not active any more; {policy.base_model} writes.")


def _activate(sessions: Sessions, policy_id: int, wait_s: float) -> None:
    """Activate it and say what the workers make of it. Raises Conflict when one refuses it."""
    with sessions.begin() as db:
        service.activate(db, policy_id=policy_id)
    deadline = time.monotonic() + wait_s
    while True:
        with sessions() as db:
            policy = queries.use_of(db, policy_id)
            workers = queries.workers(db)
        if policy.use is not Use.LOADING or time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_S)
    for worker in policy.workers:
        say(f"{worker} writes with it.")
    for one in workers:
        if one.problem and one.policy_id == policy_id:
            note(f"{one.name}: {one.problem}")
    _refuse_unless_used(policy, {one.base_model for one in workers if one.base_model})


def _refuse_unless_used(policy: PolicyView, served: set[str]) -> None:
    if policy.use is Use.REFUSED:
        reasons = "\n".join(f"{worker}: {reason}" for worker, reason in policy.refusals.items())
        raise Conflict(
            f"{policy.name} is active and was not loaded everywhere; where it was not, what was "
            f"used before goes on.\n{reasons}"
        )
    if policy.use is Use.UNSERVED:
        others = f" They serve {', '.join(sorted(served))}." if served else ""
        note(
            f"{policy.name} is active. No worker serves {policy.base_model} now: it is loaded by "
            f"the next that does.{others}"
        )
    if policy.use is Use.LOADING:
        raise Conflict(
            f"{policy.name} is active, but not all workers have loaded it in this time. See: "
            "iterdpo policy list"
        )


@contextmanager
def _sessions(data: Path | None) -> Iterator[Sessions]:
    """Sessions on the database; the commands here commit in several steps."""
    with database(settings_for(data=data)) as url:
        engine = make_engine(url, pool=2)
        try:
            yield make_sessions(engine)
        finally:
            engine.dispose()
