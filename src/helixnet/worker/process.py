"""One pool child: an event loop, connections of its own, a heartbeat, and the loop that claims and runs jobs."""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import psutil
import uvloop
from sqlalchemy.exc import SQLAlchemyError

from helixnet import log, tracing
from helixnet.blobs import BlobStore
from helixnet.broker import Ringer
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.hints import Hints
from helixnet.jobs.store import claims
from helixnet.jobs.store.claims import ClaimedJob
from helixnet.metrics import catalog
from helixnet.metrics.kinds import Counter
from helixnet.processors.registry import Registry
from helixnet.worker import counting, spans
from helixnet.worker.attempt import Resources, StopReason
from helixnet.worker.files import bury_scratch
from helixnet.worker.heartbeat import Heartbeat
from helixnet.worker.isolation.run import Isolation
from helixnet.worker.lookout import Lookout
from helixnet.worker.pace import Pace
from helixnet.worker.recording import ANSWER_SECONDS, hand_back_unheard
from helixnet.worker.slices import Caretaker, SliceRun
from helixnet.worker.threads import Threads

CONNECTIONS = 3
# After this long, a job that was told to stop and did not is ended together with its process.
STUCK_SECONDS = 5.0
# On a warm shutdown, what runs may go on for this long; then it is handed back for another worker.
DRAIN_SECONDS = 8.0
# While the database is away, a claim is tried again after a pause that doubles between these.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
RIPEN_AT_MOST = 500

logger = log.logger("helix.worker")


class WorkerProcess:
    """Everything that a pool child has, made after the fork and closed before the end."""

    def __init__(self, settings: Settings, processors: Registry, ringer: Ringer, stopping: Callable[[], bool]) -> None:
        self._settings = settings
        self._processors = processors
        self._ringer = ringer
        self._stopping = stopping
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._heartbeat = Heartbeat(settings, self)
        self._caretaker = Caretaker(settings, stopping, self._heartbeat.renew)
        self._threads = Threads()
        self._resources: Resources | None = None
        self._slice: SliceRun | None = None
        self._draining_since = 0.0
        # The event loop runs for a ring or for a look, one at a time.
        self._turn = threading.Lock()
        self._quiet_since = time.monotonic()
        self._lookout = Lookout(settings.look_seconds, lambda: time.monotonic() - self._quiet_since, self._look)
        self._pace = Pace()
        self._jobs_done = 0
        self._claimed_at: float | None = None
        counting.begin(processors, settings.queue_names)
        self._ring: bytes | None = None

    def start(self) -> None:
        """Open what the process needs; called once, in the child."""
        threading.Thread(target=bury_scratch, name="scratch", daemon=True).start()
        self._runner.run(self._open())
        self._heartbeat.start()
        self._caretaker.start()
        if self._settings.look_seconds:
            self._lookout.start()

    def stop(self) -> None:
        """Leave the ledger and close; called once, at the child's end."""
        self._lookout.end()
        self._caretaker.end()
        self._heartbeat.stop()
        self._runner.run(self._close())
        self._ringer.close()
        self._runner.close()

    def answer(self, queue: str, ring: bytes | None = None) -> None:
        """A ring was heard: run what is due in the queue, until it is empty or the ring's time is over.

        `ring` is the span that rang, as a job keeps its own.
        """
        if not self._heartbeat.wait_until_registered(self._settings.lease_seconds):
            return
        with self._turn:
            self._ring = ring
            self._runner.run(self._work(queue, catalog.RINGS_HEARD))
            self._quiet_since = time.monotonic()

    def _look(self) -> bool:
        """Do without a ring what one would ask for, in each queue; answers whether there was work."""
        with self._turn:
            self._ring = None
            before = self._jobs_done
            try:
                if self._heartbeat.worker_id is not None:
                    for queue in self._settings.queue_names:
                        self._runner.run(self._work(queue, catalog.LOOKS))
            except Exception:
                logger.exception("a look for work failed")
            finally:
                self._quiet_since = time.monotonic()
            return self._jobs_done > before

    def is_worn_out(self) -> bool:
        """Whether the process has done its share of jobs, or has grown too large, and is to be replaced."""
        most_jobs, most_bytes = self._settings.worker_max_jobs, self._settings.worker_max_memory_bytes
        if most_jobs and self._jobs_done >= most_jobs:
            logger.info("this worker process has done its share: another takes its place", jobs=self._jobs_done)
            return True
        if most_bytes and (size := psutil.Process().memory_info().rss) > most_bytes:
            logger.info("this worker process has grown large: another takes its place", bytes=size)
            return True
        return False

    async def _open(self) -> None:
        asyncio.get_running_loop().set_default_executor(self._threads)
        self._resources = Resources(
            settings=self._settings,
            database=Database(
                self._settings.database_url.get_secret_value(),
                CONNECTIONS,
                "helixnet worker",
                lookups=True,
                patience_seconds=ANSWER_SECONDS,
            ),
            blobs=BlobStore(self._settings),
            hints=Hints(self._settings.cache_url.get_secret_value()),
            registry=self._processors,
            isolation=Isolation(),
        )
        self._resources.isolation.begin(self._processors, self._settings.queue_names)

    async def _close(self) -> None:
        if self._resources is not None:
            await self._resources.isolation.close()
            await self._resources.hints.close()
            await self._resources.database.close()

    async def _work(self, queue: str, reasons: Counter) -> None:
        """Run what is due in the queue, and leave nothing to a loop that will rest; `reasons` counts what there was."""
        try:
            await self._run_what_is_due(queue, reasons)
        finally:
            if self._resources is not None:
                await self._resources.hints.flush()

    async def _run_what_is_due(self, queue: str, reasons: Counter) -> None:
        end = time.monotonic() + self._settings.ring_budget_seconds
        first = True
        while not self._stopping():
            jobs = await self._claim(queue)
            if not jobs and queue not in await self._ripen(queue):
                if first:
                    reasons.add(1, queue, "spare")
                return
            if first:
                reasons.add(1, queue, "work")
            if first and len(jobs) >= self._pace.next_slice(queue).limit:
                # Where a whole slice was, more may wait: wake a neighbour, who will do the same.
                self._ringer.ring(queue)
            first = False
            if jobs:
                await self._run(queue, jobs)
            if time.monotonic() >= end or self.is_worn_out():
                break
        self._ringer.ring(queue)

    async def _claim(self, queue: str) -> list[ClaimedJob]:
        """A slice of the queue; a database that is away is waited for. Empty as well when the process must stop."""
        pause = FIRST_PAUSE_SECONDS
        unheard = False
        while not self._stopping() and self._resources is not None:
            worker_id = self._heartbeat.worker_id
            if worker_id is None:
                return []
            begun_ns = time.time_ns()
            try:
                if unheard:
                    await hand_back_unheard(self._resources.database, worker_id)
                    unheard = False
                jobs = await claims.claim(self._resources.database, worker_id, queue, self._pace.next_slice(queue))
            except (SQLAlchemyError, OSError) as error:
                logger.warning("no claim: the database did not answer", error=log.first_line(error))
                await asyncio.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311 - spreads load, guards nothing
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                unheard = True
            else:
                self._claimed_at = time.monotonic()
                if jobs:
                    counting.claimed(queue, jobs)
                    if tracing.on:
                        jobs = spans.claimed(queue, jobs, begun_ns, self._ring)
                return jobs
        return []

    async def _ripen(self, queue: str) -> set[str]:
        """Put jobs whose start time has come into their lines, and ring for those of other queues."""
        if self._resources is None:
            return set()
        try:
            async with self._resources.database.connection() as session:
                queues = set(await claims.ripen(session, RIPEN_AT_MOST))
        except (SQLAlchemyError, OSError):
            return set()  # beat does it too
        for other in queues - {queue}:
            self._ringer.ring(other)
        return queues

    async def _run(self, queue: str, jobs: list[ClaimedJob]) -> None:
        assert self._resources is not None  # noqa: S101 - opened before the first ring is answered
        begun = time.monotonic()
        owners = {job.owner_id for job in jobs}
        run = self._slice = SliceRun(jobs, self._resources, self._pace)
        self._caretaker.watch(run)
        self._tell(owners)
        try:
            await run.run()
        except Exception:
            # The ledger says that we run them. Giving up our lease makes the reaper say what is true.
            logger.exception("a slice ended without an outcome")
            self._heartbeat.renew()
        finally:
            self._caretaker.rest()
            self._slice = None
        self._jobs_done += len(jobs)
        self._pace.finished(queue, jobs, time.monotonic() - begun)
        self._tell(owners)
        if not await self._threads.are_idle_within(STUCK_SECONDS):
            self._heartbeat.end_process()

    def _tell(self, owners: set[UUID]) -> None:
        assert self._resources is not None  # noqa: S101 - opened before the first ring is answered
        for owner_id in owners:
            self._resources.hints.publish(owner_id)

    # What the heartbeat asks and tells, from its own thread.

    @property
    def pace(self) -> dict[str, float]:
        return self._pace.of_queues

    @property
    def claimed_ago(self) -> timedelta | None:
        at = self._claimed_at
        return timedelta(seconds=time.monotonic() - at) if at is not None else None

    def stop_jobs(self, job_ids: list[UUID]) -> None:
        run = self._slice
        if run is None:
            return
        run.hand_back("asked to stop", only=job_ids)
        attempt = run.attempt
        if attempt is not None and attempt.job.id in job_ids:
            attempt.stop(StopReason.CANCELLED)

    def lease_lost(self) -> None:
        run = self._slice
        if run is None:
            return
        run.hand_back(StopReason.LEASE_LOST)
        attempt = run.attempt
        if attempt is not None:
            attempt.stop(StopReason.LEASE_LOST)

    def stuck(self) -> bool:
        run = self._slice
        attempt = run.attempt if run is not None else None
        if attempt is None:
            return False
        if self._stopping():
            self._draining_since = self._draining_since or time.monotonic()
            if time.monotonic() - self._draining_since > DRAIN_SECONDS:
                attempt.stop(StopReason.SHUTDOWN)
        return attempt.stopped_for() > STUCK_SECONDS
