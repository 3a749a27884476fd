"""iterdpo project, user, token: projects and their members, accounts, API tokens."""

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
project_commands = typer.Typer(no_args_is_help=True, help="Add projects and their members.")
user_commands = typer.Typer(
    no_args_is_help=True, help="Add accounts, invite their owners, disable and enable them."
)
token_commands = typer.Typer(no_args_is_help=True, help="Create API tokens for training scripts.")
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


Name = Annotated[str, typer.Argument(help="The account's log-in name.")]
Password = Annotated[
    bool,
    typer.Option(
        "--password",
        help="Ask for a password (or read one line from a pipe) instead of printing "
        "an invitation link.",
    ),
]


@project_commands.command("add")
def add_project(
    name: Annotated[
        str,
        typer.Argument(
            help="Lowercase letters, digits, dots, dashes and underscores. Appears in "
            "addresses and exports."
        ),
    ],
    title: Annotated[str, typer.Option(help="Title shown on pages. Default: the name.")] = "",
    rule: Annotated[
        RuleChoice,
        typer.Option(
            help="How outputs are cut into segments. auto: the rule that fits the first "
            "imported file. sentences: groups of about --words words."
        ),
    ] = RuleChoice.AUTO,
    words: Annotated[
        int, typer.Option(help="Approximate words per segment. Used only by the rule `sentences`.")
    ] = 120,
    annotators: Annotated[int, typer.Option(help="Number of annotators per sample.")] = 1,
    guidelines: Annotated[
        Path | None,
        typer.Option(help="Text file with the guidelines for annotators.", exists=True),
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="Account to add as a member. Repeatable.")
    ] = None,
    data: Data = None,
) -> None:
    """Add a project: its segmentation rule, annotators per sample, and members.

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
    user: Annotated[list[str], typer.Argument(help="Accounts to add.")],
    data: Data = None,
) -> None:
    """Add members to a project. Existing members stay.

    Examples:

        iterdpo project join lectures lin theo
    """
    with transaction(settings_for(data=data)) as db:
        found = db.scalar(select(Project).where(Project.name == project))
        if found is None:
            raise NotFound(f"There is no project named {project}.")
        for account in user:
            projects.add_member(db, project=found, name=account)
    say(f"Added to {project}: {', '.join(user)}.")


@user_commands.command("add")
def add_user(
    name: Annotated[
        str,
        typer.Argument(
            help="Log-in name: 1 to 64 letters, digits, dots, dashes, underscores or @."
        ),
    ],
    role: Annotated[
        Role,
        typer.Option(
            help="annotator: corrects samples. admin: manages projects, people and "
            "exports. trainer: pulls pairs with an API token."
        ),
    ] = Role.ANNOTATOR,
    display_name: Annotated[
        str, typer.Option(help="Name shown to other people. Default: the log-in name.")
    ] = "",
    password: Password = False,
    data: Data = None,
) -> None:
    """Add an account and print an invitation link, valid for a week, to set a password.

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
    """Print a new invitation link, for a lost link or a forgotten password.

    Examples:

        iterdpo user invite ada
    """
    settings = settings_for(data=data)
    with transaction(settings) as db:
        invitation = accounts.invite(db, user_id=_user_id(db, name))
    _say_invitation(settings, invitation)


@user_commands.command("disable")
def disable(name: Name, data: Data = None) -> None:
    """Disable an account: its owner cannot log in and its tokens stop working. Their work stays.

    Examples:

        iterdpo user disable lin
    """
    with transaction(settings_for(data=data)) as db:
        accounts.disable(db, user_id=_user_id(db, name))
    say(f"{name} can no longer log in.")


@user_commands.command("enable")
def enable(name: Name, data: Data = None) -> None:
    """Enable a disabled account. Its owner can log in again with the old password.

    Examples:

        iterdpo user enable lin
    """
    with transaction(settings_for(data=data)) as db:
        accounts.enable(db, user_id=_user_id(db, name))
    say(f"{name} can log in again.")


@token_commands.command("create")
def create_token(
    user: Annotated[str, typer.Argument(help="Account of a trainer or an admin.")],
    scope: Annotated[
        list[str],
        typer.Option(
            help="Permission: pairs:read, projects:read, imports:write, policies:read "
            "or policies:write. Repeatable."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name shown in the list of tokens.")] = ("command line"),
    days: Annotated[
        int, typer.Option(help="Days until the token expires. 0: it never expires.", min=0)
    ] = 365,
    data: Data = None,
) -> None:
    """Create an API token and print it on standard output. It is shown only once.

    Examples:

        iterdpo token create theo --scope pairs:read

        TOKEN=$(iterdpo token create theo --scope pairs:read --days 30)

        curl -H "Authorization: Bearer $TOKEN" "http://localhost:8000/api/v1/pairs?project=lectures"
    """
    with transaction(settings_for(data=data)) as db:
        secret = accounts.create_token(
            db, user_id=_user_id(db, user), name=name, scopes=scope, days=days or None
        )
    note("This token is shown only once. Keep it like a password.")
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
    note(f"{invitation.name} can set a password with this link until {invitation.expires_at:%F}.")
