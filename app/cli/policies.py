"""iterdpo policy: the models and adapters that write texts."""

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
    no_args_is_help=True, help="Add LoRA adapters and choose the one that writes new texts."
)
commands.add_typer(policy_commands, name="policy")

_LOOK_S = 0.1

Name = Annotated[str, typer.Argument(help="The policy's name.")]
Wait = Annotated[
    float,
    typer.Option(help="Seconds to wait for the workers to load the adapter.", min=0),
]


@policy_commands.command("add")
def add(
    name: Annotated[
        str,
        typer.Argument(
            help="1 to 64 letters, digits, dots, dashes or underscores. Appears in pairs."
        ),
    ],
    adapter: Annotated[
        Path,
        typer.Option(
            help="Directory of a LoRA adapter in PEFT format. The model server must see "
            "it under the same path.",
            exists=True,
            file_okay=False,
        ),
    ],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Base model, as the model server names it. Default: from the adapter's "
            "configuration.",
            show_default=False,
        ),
    ] = None,
    round: Annotated[
        int | None,
        typer.Option(
            help="Round of training. Default: one more than the latest of its base model.",
            min=0,
            show_default=False,
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Revision of the base model.", show_default=False)
    ] = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="Use the adapter for new regenerations.")
    ] = False,
    wait: Wait = 30.0,
    data: Data = None,
) -> None:
    """Add a LoRA adapter as a policy. The studio stores a hash of its files.

    Adding the same adapter again changes nothing. A different adapter needs a different name.

    Examples:

        iterdpo policy add round-1 --adapter /srv/adapters/round-1 --activate

        iterdpo policy add round-2 --adapter out/r2 --base Qwen/Qwen2.5-VL-7B-Instruct --round 2
    """
    directory = adapter.absolute()
    found = read_adapter(directory)
    if not base and not found.base_model:
        raise Invalid("The adapter does not name its base model. Add --base MODEL.")
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
    """List policies with name, round, state, numbers of segments and pairs, and base model.

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
            note(f"{worker} did not load {policy.name}: {reason}")


@policy_commands.command("activate")
def activate(name: Name, wait: Wait = 30.0, data: Data = None) -> None:
    """Use an adapter for new regenerations. Running ones finish with their own policy.

    Exit status 1 if a model server does not load it; workers then keep the previous policy.

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
        typer.Argument(help="The active policy. Default: the only active one.", show_default=False),
    ] = None,
    data: Data = None,
) -> None:
    """Use the base model without an adapter for new regenerations.

    Examples:

        iterdpo policy deactivate
    """
    with _sessions(data) as sessions, sessions.begin() as db:
        if name is not None:
            policy_id = queries.policy_id_of(db, name)
        else:
            active = [one for one in queries.policies(db) if one.active]
            if not active:
                raise NotFound(
                    "No adapter is active. New regenerations already use the base models."
                )
            if len(active) > 1:
                names = ", ".join(one.name for one in active)
                raise Conflict(f"Several adapters are active. Name one of them: {names}.")
            policy_id = active[0].id
        policy = service.deactivate(db, policy_id=policy_id)
        say(f"{policy.name} is no longer active. New regenerations use {policy.base_model}.")


def _activate(sessions: Sessions, policy_id: int, wait_s: float) -> None:
    """Activate it and report each worker. Raises Conflict when a worker refuses it."""
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
        say(f"{worker} uses it.")
    for one in workers:
        if one.problem and one.policy_id == policy_id:
            note(f"{one.name}: {one.problem}")
    _refuse_unless_used(policy, {one.base_model for one in workers if one.base_model})


def _refuse_unless_used(policy: PolicyView, served: set[str]) -> None:
    if policy.use is Use.REFUSED:
        reasons = "\n".join(f"{worker}: {reason}" for worker, reason in policy.refusals.items())
        raise Conflict(
            f"{policy.name} is active, but some workers did not load it. They keep their previous "
            f"policy.\n{reasons}"
        )
    if policy.use is Use.UNSERVED:
        others = f" Workers serve {', '.join(sorted(served))}." if served else ""
        note(
            f"{policy.name} is active, but no worker serves {policy.base_model}. The next worker "
            f"that serves it loads the adapter.{others}"
        )
    if policy.use is Use.LOADING:
        raise Conflict(
            f"{policy.name} is active, but not all workers loaded it in time. See: "
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
