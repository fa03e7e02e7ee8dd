"""The heartbeat: a thread with its own event loop and connection that proves that a worker process lives.

It goes on while the process's main loop is busy, hears which jobs are to stop, and ends the process when a job can't
be stopped otherwise.
"""

import asyncio
import os
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

import psutil
import uuid_utils.compat as uuids
from sqlalchemy.exc import SQLAlchemyError

from helixnet import log
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.jobs.store import leases
from helixnet.metrics import catalog

# A lease is distrusted before it can have ended for others: the rest is room for a slow answer.
TRUSTED_PART_OF_LEASE = 0.75
# After a connection that went dead without a word there is time for another before that.
PATIENT_PART_OF_LEASE = 0.3

logger = log.logger("helix.worker")


class Holder(Protocol):
    """Who runs jobs under this heartbeat; called from the heartbeat's thread."""

    @property
    def pace(self) -> dict[str, float]:
        """Queue → seconds that a job of it takes here."""

    @property
    def claimed_ago(self) -> timedelta | None:
        """How long ago the ledger last answered a claim; None for never."""

    def stop_jobs(self, job_ids: list[UUID]) -> None:
        """The owners asked for these to be stopped."""

    def lease_lost(self) -> None:
        """Whatever runs may run elsewhere already."""

    def stuck(self) -> bool:
        """Whether a job goes on although it was told to stop a good while ago."""


class Heartbeat(threading.Thread):
    """Keeps one worker process's row in `workers` alive."""

    def __init__(self, settings: Settings, holder: Holder) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._settings = settings
        self._holder = holder
        # What is to be done at once is set first, and then the heartbeat woken.
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._registered = threading.Event()
        self._renewing = threading.Event()
        self._lethal = threading.Event()
        self._worker_id: UUID | None = None

    @property
    def worker_id(self) -> UUID | None:
        """The id under which this process may claim; None before it is registered, and while its lease is in doubt."""
        return self._worker_id

    def wait_until_registered(self, seconds: float) -> bool:
        return self._registered.wait(seconds)

    def renew(self) -> None:
        """Leave under this id and come back under another: what the process held is reaped."""
        self._worker_id = None
        self._renewing.set()
        self._wake.set()

    def end_process(self) -> None:
        """End the process: something in it can't be stopped otherwise. Its job, if it has one, is reaped."""
        self._worker_id = None
        self._lethal.set()
        self._wake.set()

    def stop(self) -> None:
        """Say goodbye to the ledger and end the thread; what the process still holds is reaped at once."""
        self._ending.set()
        self._wake.set()
        self.join(timeout=5)

    def run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._beat())

    async def _beat(self) -> None:
        database = Database(
            self._settings.database_url.get_secret_value(),
            1,
            "helixnet heartbeat",
            lookups=True,
            patience_seconds=self._settings.lease_seconds * PATIENT_PART_OF_LEASE,
        )
        confirmed = time.monotonic()
        registered_id: UUID | None = None
        while True:
            if self._lethal.is_set() or self._holder.stuck():
                await self._end_process(database, registered_id)
            if self._ending.is_set():
                break
            if self._renewing.is_set():
                self._renewing.clear()
                self._worker_id = None
                await self._leave(database, registered_id)
                registered_id = None
                self._holder.lease_lost()
            sent = time.monotonic()
            try:
                if registered_id is None:
                    registered_id = await self._register(database)
                alive = await self._prove_life(database, registered_id)
            except (SQLAlchemyError, OSError) as error:
                alive = None
                logger.warning("no heartbeat: the database did not answer", error=log.first_line(error))
            except Exception:
                # A heart that stops for good would leave a process that can never claim again.
                alive = None
                logger.exception("a heartbeat failed")
            catalog.HEARTBEATS.add(1, "confirmed" if alive else "unanswered" if alive is None else "lease_lost")
            if alive:
                confirmed = sent
                if not (self._renewing.is_set() or self._lethal.is_set()):
                    self._worker_id = registered_id
                self._registered.set()
            elif alive is False or sent - confirmed > self._settings.lease_seconds * TRUSTED_PART_OF_LEASE:
                if self._worker_id is not None:
                    logger.warning("the lease is lost: what runs here is given up", worker=str(self._worker_id))
                self._worker_id = registered_id = None
                self._holder.lease_lost()
            catalog.PROCESSES.set(1 if self._worker_id is not None else 0)
            # A lease that is gone is renewed at once, everything else in its time.
            if alive is not False:
                await asyncio.to_thread(self._wake.wait, self._settings.heartbeat_seconds)
                self._wake.clear()
        await self._leave(database, registered_id)
        await database.close()

    async def _register(self, database: Database) -> UUID:
        """Enter a fresh row, and bury the neighbours on this node whose process is gone: their jobs need not wait."""
        worker_id: UUID = uuids.uuid7()
        async with database.transaction() as session:
            for neighbour, pid in await leases.neighbours(session, node_name()):
                if not psutil.pid_exists(pid) or pid == os.getpid():
                    await leases.leave(session, neighbour)
            await leases.register(
                session, worker_id, node_name(), socket.gethostname(), os.getpid(), self._settings.queue_names
            )
        return worker_id

    async def _prove_life(self, database: Database, worker_id: UUID) -> bool:
        async with database.statement() as session:
            stops = await leases.heartbeat(session, worker_id, self._holder.pace, self._holder.claimed_ago)
        if stops:
            self._holder.stop_jobs(stops)
        return stops is not None

    async def _leave(self, database: Database, worker_id: UUID | None) -> None:
        if worker_id is None:
            return
        try:
            async with database.transaction() as session:
                await leases.leave(session, worker_id)
        except (SQLAlchemyError, OSError):
            logger.warning("left without a word: the database did not answer", worker=str(worker_id))

    async def _end_process(self, database: Database, worker_id: UUID | None) -> None:
        """The work can't be stopped from within: end the process with it. The reaper settles the job at once."""
        logger.error("work goes on that can't be stopped: this worker process is replaced", pid=os.getpid())
        await self._leave(database, worker_id)
        os._exit(os.EX_TEMPFAIL)


def node_name() -> str:
    """Where a pid means one process: this boot of this machine, in this process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        boot, namespace = str(int(psutil.boot_time())), "-"
    return f"{socket.gethostname()}/{boot}/{namespace}"
