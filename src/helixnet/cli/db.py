"""`helix db`: the database's migrations."""

import asyncio
import sys

import typer

from helixnet.cli.up import HomeOption, settings_for

app = typer.Typer(no_args_is_help=True, help="Migrations.")


@app.command()
def upgrade(home: HomeOption = None) -> None:
    """Bring the database to the newest migration."""
    from helixnet import log, migrations
    from helixnet.stack import attach

    settings = settings_for(home)
    log.configure(settings)

    async def run() -> None:
        async with attach.database_url(settings) as url:
            await asyncio.to_thread(migrations.upgrade, url)

    asyncio.run(run())
    print("The database is at the newest migration.")


@app.command()
def init(home: HomeOption = None) -> None:
    """Bring the database to the newest migration, and make the first accounts (in development)."""
    from helixnet.cli import users

    upgrade(home)
    users.seed(home)


@app.command()
def check(home: HomeOption = None) -> None:
    """Exit with 1 unless the database is what the code expects."""
    from alembic.util import CommandError

    from helixnet import migrations
    from helixnet.stack import attach

    async def run() -> None:
        async with attach.database_url(settings_for(home)) as url:
            await asyncio.to_thread(migrations.check, url)

    try:
        asyncio.run(run())
    except CommandError as error:
        print(f"helix db check: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


@app.command()
def dump(home: HomeOption = None) -> None:
    """Write a dump of the database to the standard output, for `pg_restore`."""
    from helixnet.stack import attach, backup

    async def run() -> int:
        async with attach.database_url(settings_for(home)) as url:
            return await asyncio.to_thread(backup.dump, url)

    if asyncio.run(run()) != 0:
        raise typer.Exit(1)


@app.command()
def restore(home: HomeOption = None) -> None:
    """Put the database of a dump, from the standard input, in the place of the one that is there."""
    from helixnet.stack import attach, backup

    async def run() -> str:
        async with attach.database_url(settings_for(home)) as url:
            return await asyncio.to_thread(backup.restore, url, sys.stdin.buffer)

    print(f"The database is that of the dump; the one before is called {asyncio.run(run())} now.")
