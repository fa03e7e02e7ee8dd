"""One pool child: an event loop, connections of its own, a heartbeat, and the loop that claims and runs jobs."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from helixnet import log
from helixnet.blobs import BlobStore
from helixnet.broker import Ringer
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.hints import Hints
from helixnet.jobs.store import transitions
from helixnet.jobs.store.transitions import ClaimedJob
from helixnet.processors.registry import Registry
from helixnet.worker.attempt import Attempt, Resources, StopReason
from helixnet.worker.heartbeat import Heartbeat

CONNECTIONS = 3
THREADS = 8
# After this long, a job that was told to stop and did not is ended together with its process.
STUCK_SECONDS = 5.0
# On a warm shutdown, what runs may go on for this long; then it is handed back for another worker.
DRAIN_SECONDS = 8.0

logger = log.logger("helix.worker")


class WorkerProcess:
    """Everything that a pool child has, made after the fork and closed before the end."""

    def __init__(self, settings: Settings, processors: Registry, ringer: Ringer, stopping: Callable[[], bool]) -> None:
        self._settings = settings
        self._processors = processors
        self._ringer = ringer
        self._stopping = stopping
        self._runner = asyncio.Runner()
        self._heartbeat = Heartbeat(settings, self)
        self._resources: Resources | None = None
        self._attempt: Attempt | None = None
        self._draining_since = 0.0

    def start(self) -> None:
        """Open what the process needs; called once, in the child."""
        self._runner.run(self._open())
        self._heartbeat.start()

    def stop(self) -> None:
        """Leave the ledger and close; called once, at the child's end."""
        self._heartbeat.stop()
        self._runner.run(self._close())
        self._ringer.close()
        self._runner.close()

    def answer(self, queue: str) -> None:
        """A ring was heard: run what is due in the queue, until it is empty or the ring's time is over."""
        if self._heartbeat.wait_until_registered(self._settings.lease_seconds):
            self._runner.run(self._work(queue))

    async def _open(self) -> None:
        database = Database(self._settings.database_url.get_secret_value(), CONNECTIONS, "helixnet worker")
        self._resources = Resources(
            settings=self._settings,
            database=database,
            blobs=BlobStore(self._settings),
            hints=Hints(self._settings.cache_url.get_secret_value()),
            registry=self._processors,
        )

    async def _close(self) -> None:
        if self._resources is not None:
            await self._resources.hints.close()
            await self._resources.database.close()

    async def _work(self, queue: str) -> None:
        end = time.monotonic() + self._settings.ring_budget_seconds
        first = True
        while not self._stopping():
            job = await self._claim(queue)
            if job is None:
                return
            if first:
                # Where one job was, more may wait: wake a neighbour, who will do the same.
                self._ringer.ring(queue)
                first = False
            await self._run(job)
            if time.monotonic() >= end:
                break
        self._ringer.ring(queue)

    async def _claim(self, queue: str) -> ClaimedJob | None:
        worker_id = self._heartbeat.worker_id
        if worker_id is None or self._resources is None:
            return None
        try:
            async with self._resources.database.transaction() as session:
                jobs = await transitions.claim(session, worker_id, queue, limit=1)
        except (SQLAlchemyError, OSError) as error:
            logger.warning("no claim: the database did not answer", error=log.first_line(error))
            return None
        return jobs[0] if jobs else None

    async def _run(self, job: ClaimedJob) -> None:
        assert self._resources is not None  # noqa: S101 - opened before the first ring is answered
        attempt = self._attempt = Attempt(job, self._resources)
        # Threads that a processor starts are known by the name of its job.
        name = f"job-{job.id}"
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix=name)
        asyncio.get_running_loop().set_default_executor(threads)
        try:
            await attempt.run()
        except Exception:
            # The ledger says that we run it. Giving up our lease makes the reaper say what is true.
            logger.exception("an attempt ended without an outcome")
            self._heartbeat.renew()
        finally:
            self._attempt = None
            threads.shutdown(wait=False)
        if attempt.stopped and not await _threads_end(name):
            self._heartbeat.end_process()

    # What the heartbeat tells, from its own thread.

    def stop_jobs(self, job_ids: list[UUID]) -> None:
        attempt = self._attempt
        if attempt is not None and attempt.job.id in job_ids:
            attempt.stop(StopReason.CANCELLED)

    def lease_lost(self) -> None:
        attempt = self._attempt
        if attempt is not None:
            attempt.stop(StopReason.LEASE_LOST)

    def stuck(self) -> bool:
        attempt = self._attempt
        if attempt is None:
            return False
        if self._stopping():
            self._draining_since = self._draining_since or time.monotonic()
            if time.monotonic() - self._draining_since > DRAIN_SECONDS:
                attempt.stop(StopReason.SHUTDOWN)
        return attempt.stopped_for() > STUCK_SECONDS


async def _threads_end(name: str) -> bool:
    """Wait for the threads of a stopped job; False when one goes on regardless, and would beside the next job."""
    end = time.monotonic() + STUCK_SECONDS
    while any(thread.name.startswith(name) for thread in threading.enumerate()):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)
    return True
