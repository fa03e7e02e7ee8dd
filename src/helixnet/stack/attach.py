"""How single commands reach a database: the one that is set, the running stack's, or the home's for a moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from helixnet.config import Settings
from helixnet.stack import prepare
from helixnet.stack.home import Home
from helixnet.stack.supervisor import Child
from helixnet.stack.up import embedded_servers, postgres_program


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The address of a migrated database.

    In this order: HELIX_DATABASE_URL; the stack that runs on the home; the home's own PostgreSQL, started for as
    long as the block runs. Raises HomeInUse, StartFailed, MissingServers.
    """
    given = settings.database_url.get_secret_value()
    if given:
        yield given
        return
    home = Home.make(settings.home)
    running = home.read_state()
    if running is not None:
        yield running["HELIX_DATABASE_URL"]
        return
    with home.lock():
        postgres, _valkey = embedded_servers(home)
        await asyncio.to_thread(postgres.initialize)
        child = Child(postgres_program(postgres, home))
        try:
            await child.start()
            await asyncio.to_thread(prepare.migrate, postgres.url)
            yield postgres.url
        finally:
            await child.stop()
