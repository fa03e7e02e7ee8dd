"""Whether a worker or a beat makes progress, asked from beside it: that a process is up says nothing.

Only what a restart could mend counts against it. While the database or the broker is away, both pass.
"""

import asyncio
import os
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from helixnet import broker
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.jobs.store import progress
from helixnet.worker.heartbeat import node_name

# So long may due work wait for processes that have nothing else to do.
PATIENCE = timedelta(seconds=60)
# So many rounds may beat miss, and at least so many seconds: a purge of many objects takes its time.
MISSED_ROUNDS, LEAST_SECONDS = 10, 60.0


class NoProgress(Exception):
    """What the process does not do, in a sentence."""


def note_round(progress_file: str) -> None:
    """A round of beat is over; without a file nobody asks."""
    if not progress_file:
        return
    with suppress(OSError):
        handle = os.open(progress_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.utime(handle)
        finally:
            os.close(handle)


def check_beat(settings: Settings) -> str:
    """A sentence of what is well; raises NoProgress."""
    settings.require("progress_file")
    try:
        age_seconds = time.time() - Path(settings.progress_file).stat().st_mtime
    except FileNotFoundError:
        raise NoProgress("beat has not ended a round yet") from None
    longest = max(LEAST_SECONDS, MISSED_ROUNDS * settings.housekeeping_seconds)
    if age_seconds > longest:
        raise NoProgress(f"beat's last round ended {age_seconds:.0f} s ago")
    return f"beat's last round ended {max(0.0, age_seconds):.0f} s ago"


def check_worker(settings: Settings, node: str | None = None) -> str:
    """A sentence of what is well with the worker of this node; raises NoProgress."""
    settings.require("database_url", "broker_url")
    try:
        found = asyncio.run(_node(settings, node or node_name()))
    except (SQLAlchemyError, OSError):
        return "the database does not answer: a restart would not help"
    if found is None or found.alive == 0:
        raise NoProgress("no process of this worker is in the ledger with a fresh heartbeat")
    if found.stalled and broker.answers(settings):
        raise NoProgress(
            f"work waits in {', '.join(found.waiting)}, and for {PATIENCE.total_seconds():.0f} s "
            "no process of this worker has claimed any"
        )
    return f"{found.alive} of {found.processes} processes alive"


async def _node(settings: Settings, node: str) -> progress.Node | None:
    database = Database(settings.database_url.get_secret_value(), 1, "helixnet probe")
    try:
        async with database.transaction() as session:
            found = await progress.nodes(session, timedelta(seconds=settings.lease_seconds), PATIENCE, node)
    finally:
        await database.close()
    return found[0] if found else None
