"""`helix users`: accounts."""

import asyncio
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
