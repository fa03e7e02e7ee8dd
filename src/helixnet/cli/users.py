"""`helix users`: accounts."""

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from helixnet.cli.up import HomeOption, settings_for
from helixnet.config import Settings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

app = typer.Typer(no_args_is_help=True, help="Accounts.")

T = TypeVar("T")


@app.command()
def seed(home: HomeOption = None) -> None:
    """Make sure that the development accounts exist. In production this does nothing and says so."""
    from helixnet.users import service

    async def make(session: "AsyncSession", settings: Settings) -> None:
        if settings.development:
            await service.seed(session)
        else:
            print("No accounts were made: the profile is production, which has no default passwords.")

    _in_transaction(home, make)


@app.command("list")
def list_users(
    home: HomeOption = None, verbose: Annotated[bool, typer.Option("--verbose", help="With the roles.")] = False
) -> None:
    """List the e-mails of all accounts."""
    from helixnet.users import service

    async def read(session: "AsyncSession", _settings: Settings) -> list[str]:
        users = await service.list_users(session)
        return [f"{user.email} {user.role}" if verbose else user.email for user in users]

    for line in _in_transaction(home, read):
        print(line)


EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL")]
GenerateOption = Annotated[bool, typer.Option("--generate", help="Make a password, and print it this once.")]


@app.command()
def create(
    email: EmailArgument,
    admin: Annotated[bool, typer.Option("--admin", help="An administrator, who sees everybody's jobs.")] = False,
    generate: GenerateOption = False,
    home: HomeOption = None,
) -> None:
    """Make an account. The password is asked for, or read as a line of the standard input."""
    from helixnet.users import service
    from helixnet.users.schemas import Role

    password = _password(generate)

    async def make(session: "AsyncSession", _settings: Settings) -> str:
        return await service.add(session, email, password, Role.ADMIN if admin else Role.USER)

    print(f"Created {_in_transaction(home, make)}.")
    _show(password, generate)


@app.command()
def set_password(email: EmailArgument, generate: GenerateOption = False, home: HomeOption = None) -> None:
    """Give an account another password, and end its sessions."""
    from helixnet.users import service

    password = _password(generate)

    async def change(session: "AsyncSession", _settings: Settings) -> None:
        await service.change_password(session, email, password)

    _in_transaction(home, change)
    print("The password is changed, and the account's sessions have ended.")
    _show(password, generate)


@app.command()
def disable(email: EmailArgument, home: HomeOption = None) -> None:
    """Let somebody no longer sign in. What they own stays, and their jobs run on."""
    _set_active(email, home, active=False)
    print("The account can no longer sign in.")


@app.command()
def enable(email: EmailArgument, home: HomeOption = None) -> None:
    """Let somebody sign in again."""
    _set_active(email, home, active=True)
    print("The account can sign in.")


@app.command()
def budget(
    email: EmailArgument,
    amount: Annotated[
        str | None, typer.Argument(metavar="[AMOUNT]", help="What may be spent in a month; `default` for HELIX_BUDGET.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Give an account a monthly budget of its own for metered work, or show the one that it has."""
    from helixnet.usage import service as usage
    from helixnet.usage.schemas import plain
    from helixnet.users import service

    async def change(session: "AsyncSession", settings: Settings) -> str:
        user = await service.by_email(session, email)
        if amount is not None:
            await usage.set_budget(session, user.id, None if amount == "default" else amount)
        spent, limit = await usage.standing(session, user.id, settings.budget)
        bound = "no bound" if limit is None else f"{plain(limit)} {settings.currency}"
        return f"{user.email} has spent {plain(spent)} {settings.currency} this month; its budget is {bound}."

    print(_in_transaction(home, change))


def _set_active(email: str, home: Path | None, *, active: bool) -> None:
    from helixnet.users import service

    async def change(session: "AsyncSession", _settings: Settings) -> None:
        await service.set_active(session, email, active)

    _in_transaction(home, change)


def _password(generate: bool) -> str:
    """Never from the command line, which everybody on the machine can read."""
    if generate:
        return secrets.token_urlsafe(24)
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _show(password: str, generated: bool) -> None:
    if generated:
        print(f"Its password is {password}")


def _in_transaction(home: Path | None, action: "Callable[[AsyncSession, Settings], Awaitable[T]]") -> T:
    from helixnet import log
    from helixnet.db import Database
    from helixnet.stack import attach

    given = settings_for(home)
    log.configure(given)

    async def run() -> T:
        async with attach.attached(given) as settings:
            database = Database(settings.database_url.get_secret_value(), 1, "helix users")
            try:
                async with database.transaction() as session:
                    return await action(session, settings)
            finally:
                await database.close()

    return asyncio.run(run())
