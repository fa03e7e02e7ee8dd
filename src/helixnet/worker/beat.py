"""Beat's housekeeping: ring for work that waits, take jobs from lost workers, purge what was given up."""

import asyncio
import time
from datetime import timedelta
from typing import Any

from celery.beat import Scheduler
from sqlalchemy.exc import SQLAlchemyError

from helixnet import log
from helixnet.artifacts import service as artifacts
from helixnet.blobs import BlobStore
from helixnet.broker import Ringer
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.errors import HelixError
from helixnet.hints import Hints
from helixnet.jobs import retention
from helixnet.jobs import service as jobs
from helixnet.jobs.states import Status
from helixnet.jobs.store import claims, leases, transitions
from helixnet.metrics import catalog
from helixnet.usage import service as usage
from helixnet.users import service as users
from helixnet.worker import liveness
from helixnet.worker.survey import Survey

LOCK_KEY = 0x48454C4958424541  # "HELIXBEA"
DEADLINE_GRACE = timedelta(seconds=15)
REAP_BATCH = 500
RIPEN_BATCH = 1000
PURGE_EVERY_SECONDS = 30
# A store that is silent for longer is asked again the next time: the other steps can't wait, nor the lock.
STORAGE_SECONDS = 20
EXPIRE_EVERY_SECONDS = 300
# So much of the time between two rounds may go on deleting jobs, and as much on objects: the sweep comes round again
# soon, however much there is.
SHARE_TO_DELETE = 0.5

STEPS = ("ripen", "reap", "sweep", "expire", "purge", "survey")
# Whether the database was away shows in these; another's failure, which may be its own, shall not stop the reaper.
FIRST_STEPS = STEPS[:2]

logger = log.logger("helix.beat")


class Housekeeper:
    """One round of housekeeping after another, in a process with its own event loop."""

    def __init__(self, settings: Settings, ringer: Ringer) -> None:
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._database = Database(settings.database_url.get_secret_value(), 2, "helixnet beat")
        self._blobs = BlobStore(settings)
        self._hints = Hints(settings.cache_url.get_secret_value())
        self._ringer = ringer
        self._trusted_from = 0.0
        self._purge_due = 0.0
        self._kept_for = timedelta(days=settings.keep_ended_days)
        self._expire_due = 0.0
        self._expired_to = retention.FIRST
        self._deleting_seconds = SHARE_TO_DELETE * settings.housekeeping_seconds
        self._begin_to_count()
        self._surveyor = Survey(self._database, self._blobs, self._lease)

    async def round(self) -> None:
        """Do each step in transactions of its own; an error in one doesn't keep the others."""
        steps = (self._ripen, self._reap, self._sweep, self._expire, self._purge, self._surveyor.look)
        for name, step in zip(STEPS, steps, strict=True):
            begun = time.perf_counter()
            try:
                await step()
            except (SQLAlchemyError, OSError, HelixError) as error:
                self._note_failure(name)
                logger.warning("housekeeping was put off", step=name, error=log.first_line(error))
            except Exception:
                self._note_failure(name)
                logger.exception("a step of housekeeping failed", step=name)
            else:
                catalog.BEAT_STEP_SECONDS.observe(time.perf_counter() - begun, name)
        await self._hints.flush()
        catalog.BEAT_LAST.set(time.time())

    def _note_failure(self, step: str) -> None:
        catalog.BEAT_FAILURES.add(1, step)
        if step in FIRST_STEPS:
            # Heartbeats could not be written either while the database was away: give them one lease's time.
            self._trusted_from = time.monotonic() + self._lease.total_seconds()

    def _begin_to_count(self) -> None:
        """At zero: what first appears with its first failure would not be seen to have grown."""
        for step in STEPS:
            catalog.BEAT_FAILURES.add(0, step)
        for status in (Status.PENDING, Status.FAILED, Status.CANCELLED):
            catalog.REAPED.add(0, status.lower())
        catalog.RIPENED.add(0)
        catalog.PURGED.add(0)
        catalog.EXPIRED.add(0)

    async def _ripen(self) -> None:
        """Put jobs whose start time has come into their lines; the sweep rings for them."""
        while True:
            async with self._database.transaction() as session:
                if not await leases.try_housekeeping_lock(session, LOCK_KEY):
                    return
                ripe = len(await claims.ripen(session, RIPEN_BATCH))
            catalog.RIPENED.add(ripe)
            if ripe < RIPEN_BATCH:
                return

    async def _sweep(self) -> None:
        """Ring for every queue with work: a ring may have been lost, and a spare one does no harm."""
        async with self._database.transaction() as session:
            if not await leases.try_housekeeping_lock(session, LOCK_KEY):
                return
            queues = await claims.waiting_queues(session)
        for queue in queues:
            self._ringer.ring(queue)

    async def _reap(self) -> None:
        if time.monotonic() < self._trusted_from:
            return
        async with self._database.transaction() as session:
            if not await leases.try_housekeeping_lock(session, LOCK_KEY):
                return
            given_up = await transitions.reap(session, self._lease, DEADLINE_GRACE, REAP_BATCH)
            for job in given_up:
                await artifacts.announce(session, jobs.attempt_prefix(job.owner_id, job.id, job.attempt))
        for job in given_up:
            catalog.REAPED.add(1, job.status.lower())
            logger.warning(
                "Job [%s] status updated to %s.",
                job.id,
                job.status,
                job_id=job.id,
                attempt=job.attempt,
                reason="reaped",
            )
            self._hints.publish(job.owner_id)

    async def _expire(self) -> None:
        """Delete jobs that ended long ago, a few in each transaction, for a part of the time between two rounds.

        A pass through all of them begins every few minutes.
        """
        begun = time.monotonic()
        if not self._kept_for or begun < self._expire_due:
            return
        self._expire_due = begun + EXPIRE_EVERY_SECONDS
        total, last = 0, None
        while True:
            async with self._database.transaction() as session:
                if not await leases.try_housekeeping_lock(session, LOCK_KEY):
                    break
                deleted, last = await retention.expire(session, self._kept_for, self._expired_to)
            total += deleted
            catalog.EXPIRED.add(deleted)
            self._expired_to = last or retention.FIRST
            if last is None:
                break
            if time.monotonic() - begun >= self._deleting_seconds:
                self._expire_due = 0.0  # the next round goes on with it
                break
        if total:
            logger.info("deleted jobs that ended long ago", jobs=total)

    async def _purge(self) -> None:
        if time.monotonic() < self._purge_due:
            return
        self._purge_due = time.monotonic() + PURGE_EVERY_SECONDS
        begun, total = time.monotonic(), 0
        while True:
            async with self._database.transaction() as session:
                if not await leases.try_housekeeping_lock(session, LOCK_KEY):
                    break
                async with asyncio.timeout(STORAGE_SECONDS):
                    deleted, more = await artifacts.purge(session, self._blobs)
                await users.purge_sessions(session)
                await usage.purge(session)
            total += deleted
            catalog.PURGED.add(deleted)
            if not more:
                break
            if time.monotonic() - begun >= self._deleting_seconds:
                self._purge_due = 0.0  # the next round goes on with it
                break
        if total:
            logger.info("purged objects that belong to nobody", objects=total)

    async def close(self) -> None:
        await self._hints.close()
        await self._database.close()
        self._ringer.close()


class Housekeeping(Scheduler):  # type: ignore[misc] # Celery carries no types
    """Celery's scheduler, whose tick is a round of housekeeping."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._runner: asyncio.Runner | None = None
        self._housekeeper: Housekeeper | None = None
        super().__init__(*args, **options)

    def setup_schedule(self) -> None:
        self._runner = asyncio.Runner()
        self._runner.run(self._open())
        logger.info("housekeeping begins", every_seconds=self.max_interval)

    async def _open(self) -> None:
        self._housekeeper = Housekeeper(self.app.helix_settings, Ringer(self.app, threads=1))

    def tick(self, *_args: Any, **_options: Any) -> float:
        begun, interval = time.monotonic(), float(self.max_interval)
        if self._runner is not None and self._housekeeper is not None:
            self._runner.run(self._housekeeper.round())
            liveness.note_round(self.app.helix_settings.progress_file)
        # Rounds begin at their interval, with a rest between them where they take long.
        return max(interval - (time.monotonic() - begun), interval / 4)

    def close(self) -> None:
        if self._runner is not None and self._housekeeper is not None:
            self._runner.run(self._housekeeper.close())
            self._runner.close()
            self._runner = self._housekeeper = None

    def sync(self) -> None:
        """There is no schedule on disk to write."""

    @property
    def info(self) -> str:
        return "    . the ledger in PostgreSQL"
