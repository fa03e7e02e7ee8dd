"""How late the event loop of a web process is, and how full its database pools are."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from helixnet.db import Database
from helixnet.metrics import catalog

LOOK_SECONDS = 0.5


@asynccontextmanager
async def watched(database: Database) -> AsyncIterator[None]:
    """While the block runs, both are looked at twice a second."""
    task = asyncio.create_task(_watch(database))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(database: Database) -> None:
    while True:
        due = time.perf_counter() + LOOK_SECONDS
        await asyncio.sleep(LOOK_SECONDS)
        catalog.LOOP_LAG_SECONDS.observe(max(0.0, time.perf_counter() - due))
        database.measure()
