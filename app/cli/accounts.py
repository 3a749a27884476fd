"""iterdpo project, user, token: who works on what."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts import service as accounts
from app.cli import address
from app.cli.console import Data, note, say, settings_for
from app.cli.session import transaction
from app.domain.segments import RuleKind
from app.models import Project, Role, User
from app.projects import service as projects
from app.projects.service import AUTOMATIC, ProjectSettings
from app.refusals import NotFound
from app.settings import Settings

commands = typer.Typer()
project_commands = typer.Typer(no_args_is_help=True, help="Add projects and who works in them.")
user_commands = typer.Typer(no_args_is_help=True, help="Add people and let them in or out.")
token_commands = typer.Typer(no_args_is_help=True, help="API tokens for training scripts.")
commands.add_typer(project_commands, name="project")
commands.add_typer(user_commands, name="user")
commands.add_typer(token_commands, name="token")


class RuleChoice(StrEnum):
    """What --rule takes."""

    AUTO = AUTOMATIC
    SLIDES = RuleKind.SLIDES
    HEADINGS = RuleKind.HEADINGS
    PARAGRAPHS = RuleKind.PARAGRAPHS
    SENTENCES = RuleKind.SENTENCES


Name = Annotated[str, typer.Argument(help="The account's name, as it is typed at log-in.")]
Password = Annotated[
    bool,
    typer.Option(
        "--password",
        help="Ask for a password now (or read one line from a pipe) instead of making an "
        "invitation.",
    ),
]


@project_commands.command("add")
def add_project(
    name: Annotated[
        str,
        typer.Argument(
            help="Small letters, digits, dots, dashes, _; addresses and exports use it."
        ),
    ],
    title: Annotated[str, typer.Option(help="What people see [the name].")] = "",
    rule: Annotated[
        RuleChoice,
        typer.Option(
            help="Where outputs are cut into segments; auto: by what fits the first file that is "
            "imported; sentences: groups of --words."
        ),
    ] = RuleChoice.AUTO,
    words: Annotated[int, typer.Option(help="Words of a group of sentences, about.")] = 120,
    annotators: Annotated[int, typer.Option(help="Annotators that each sample gets.")] = 1,
    guidelines: Annotated[
        Path | None,
        typer.Option(help="A text file with the guidelines for annotators.", exists=True),
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="An account that may work in it. Repeatable.")
    ] = None,
    data: Data = None,
) -> None:
    """Add a project: how outputs are cut, how many correct each sample, who may.

    Examples:

        iterdpo project add lectures

        iterdpo project add reports --title "Annual reports" --rule headings --member lin

        iterdpo project add essays --rule sentences --words 150 --guidelines guidelines.md
    """
    settings = ProjectSettings(
        title=title or name,
        guidelines=guidelines.read_text(encoding="utf-8") if guidelines else "",
        rule=rule.value,
        rule_words=str(words),
        annotators_per_sample=str(annotators),
    )
    with transaction(settings_for(data=data)) as db:
        project = projects.add(db, name=name, settings=settings)
        for account in member or ():
            projects.add_member(db, project=project, name=account)
    say(f"Added the project {name}.")


@project_commands.command("join")
def join_project(
    project: Annotated[str, typer.Argument(help="The project's name.")],
    user: Annotated[list[str], typer.Argument(help="The accounts that may work in it.")],
    data: Data = None,
) -> None:
    """Let people work in a project, or pull its pairs; who is in it already stays.

    Examples:

        iterdpo project join lectures lin theo
    """
    with transaction(settings_for(data=data)) as db:
        found = db.scalar(select(Project).where(Project.name == project))
        if found is None:
            raise NotFound(f"There is no project named {project}.")
        for account in user:
            projects.add_member(db, project=found, name=account)
    say(f"{project} is open to {', '.join(user)}.")


@user_commands.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="1 to 64 letters, digits, dots, dashes, _ or @.")],
    role: Annotated[
        Role,
        typer.Option(
            help="annotator: corrects samples. admin: projects, people, exports. "
            "trainer: pulls pairs by API token."
        ),
    ] = Role.ANNOTATOR,
    display_name: Annotated[str, typer.Option(help="The name others see.")] = "",
    password: Password = False,
    data: Data = None,
) -> None:
    """Add an account; prints an invitation link, good for a week, to set a password with.

    Examples:

        iterdpo user add ada --role admin

        iterdpo user add lin --display-name "Lin Chen"

        pwgen 20 1 | iterdpo user add ci --role trainer --password
    """
    settings = settings_for(data=data)
    secret = _read_password() if password else None
    with transaction(settings) as db:
        invitation = accounts.add_user(db, name=name, role=role, display_name=display_name)
        if secret is not None:
            accounts.set_password(db, user_id=invitation.user_id, password=secret)
    say(f"Added the {role.value} {name}.")
    if secret is None:
        _say_invitation(settings, invitation)


@user_commands.command("invite")
def invite(name: Name, data: Data = None) -> None:
    """Make a new invitation link, for who lost the first or forgot the password.

    Examples:

        iterdpo user invite ada
    """
    settings = settings_for(data=data)
    with transaction(settings) as db:
        invitation = accounts.invite(db, user_id=_user_id(db, name))
    _say_invitation(settings, invitation)


@user_commands.command("disable")
def disable(name: Name, data: Data = None) -> None:
    """Keep an account from logging in, and its tokens from working; its work stays.

    Examples:

        iterdpo user disable lin
    """
    with transaction(settings_for(data=data)) as db:
        accounts.disable(db, user_id=_user_id(db, name))
    say(f"{name} can no longer log in.")


@user_commands.command("enable")
def enable(name: Name, data: Data = None) -> None:
    """Let a disabled account log in again.

    Examples:

        iterdpo user enable lin
    """
    with transaction(settings_for(data=data)) as db:
        accounts.enable(db, user_id=_user_id(db, name))
    say(f"{name} can log in again.")


@token_commands.command("create")
def create_token(
    user: Annotated[str, typer.Argument(help="The trainer's or admin's account.")],
    scope: Annotated[
        list[str],
        typer.Option(
            help="What it may do: pairs:read, projects:read, imports:write, policies:read, "
            "policies:write. Repeatable."
        ),
    ],
    name: Annotated[str, typer.Option(help="What it is for, shown in the list of tokens.")] = (
        "command line"
    ),
    days: Annotated[
        int, typer.Option(help="It works this many days; 0: until it is revoked.", min=0)
    ] = 365,
    data: Data = None,
) -> None:
    """Make an API token and print it, once, alone on standard output.

    Examples:

        iterdpo token create theo --scope pairs:read

        TOKEN=$(iterdpo token create theo --scope pairs:read --days 30)

        curl -H "Authorization: Bearer $TOKEN" "http://localhost:8000/api/v1/pairs?project=lectures"
    """
    with transaction(settings_for(data=data)) as db:
        secret = accounts.create_token(
            db, user_id=_user_id(db, user), name=name, scopes=scope, days=days or None
        )
    note("This token is shown only now; keep it like a password.")
    say(secret)


def _user_id(db: Session, name: str) -> int:
    found = db.scalar(select(User.id).where(func.lower(User.name) == name.lower()))
    if found is None:
        raise NotFound(f"There is no account named {name}.")
    return found


def _read_password() -> str:
    stdin = typer.get_text_stream("stdin")
    if stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return stdin.readline().rstrip("\r\n")


def _say_invitation(settings: Settings, invitation: accounts.Invitation) -> None:
    say(f"{address.of_studio(settings)}/invitation/{invitation.secret}")
    note(f"With this link {invitation.name} sets a password, until {invitation.expires_at:%F}.")
