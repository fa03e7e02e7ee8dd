"""How single commands reach a stack: the one that is set, the one that runs, or the home's own for a moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from helixnet.config import Settings
from helixnet.stack import prepare, programs
from helixnet.stack.home import Home, HomeInUse
from helixnet.stack.supervisor import Child
from helixnet.stack.up import LOCK_SECONDS
from helixnet.stack.watch import Watch


@asynccontextmanager
async def attached(settings: Settings) -> AsyncIterator[Settings]:
    """Settings with the address of a database that answers, and, from a stack that runs, with all that it set.

    In this order: HELIX_DATABASE_URL; the stack that runs on the home; the home's own PostgreSQL, migrated and started
    for as long as the block runs. Raises HomeInUse, CannotStart.
    """
    given_url = settings.database_url.get_secret_value()
    if given_url:
        await asyncio.to_thread(programs.database_clock, given_url)
        yield settings
        return
    home = Home.make(settings.home)
    with contextlib.ExitStack() as opened:
        try:
            opened.enter_context(home.lock(LOCK_SECONDS))
        except HomeInUse:
            running = home.read_state()
            if running is None:
                raise
            yield Settings.model_validate(programs.settings_in(running))
            return
        watch = opened.enter_context(Watch(home.children_file))
        postgres, _valkey = programs.embedded_servers(home)
        await asyncio.to_thread(postgres.initialize)
        child = Child(programs.server_program(postgres, home), watch)
        try:
            await child.start()
            await asyncio.to_thread(prepare.migrate, postgres.url)
            # The embedded stack is for development, unless it is told otherwise.
            given: dict[str, Any] = {"profile": "development"} | settings.model_dump(exclude_unset=True)
            yield Settings.model_validate(given | {"database_url": postgres.url})
        finally:
            await child.stop()


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The address of a database that answers; see `attached`."""
    async with attached(settings) as complete:
        yield complete.database_url.get_secret_value()
