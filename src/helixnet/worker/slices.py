"""A slice: jobs that were claimed together, run in turn, and recorded together.

No job waits long for another: outcomes are written at the latest when they are 50 ms old, and as soon as a job takes
ten times as long as its like usually do, those behind it go back in line. Both have to happen while a job holds up the
event loop, so a thread of its own looks after them.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from helixnet import log
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.jobs.store.claims import ClaimedJob
from helixnet.worker.attempt import Attempt, Ended, Resources, handed_back
from helixnet.worker.pace import Pace
from helixnet.worker.recording import ANSWER_SECONDS, record

FLUSH_SECONDS = 0.05
LOOK_SECONDS = 0.025

logger = log.logger("helix.worker")


class SliceRun:
    """The jobs of one claim. `jobs` must not be empty.

    Three threads take jobs out of `waiting`: who runs them, the caretaker, and the heartbeat, which hears whose owners
    want them stopped. They do so under a lock, and with it in hand put into `ended` what will not run, so nothing is in
    two hands, or in none while somebody looks for the last time.
    """

    def __init__(self, jobs: Sequence[ClaimedJob], resources: Resources, pace: Pace) -> None:
        self.waiting = deque(jobs)
        self.ended: deque[Ended] = deque()
        self.attempt: Attempt | None = None
        self._resources = resources
        self._pace = pace
        self._flushed_at = time.monotonic()
        self._taking = threading.Lock()
        self._recording = threading.Lock()

    async def run(self) -> None:
        """Run the jobs in turn; with an attempt that is told to stop the slice ends.

        Raises NotRecorded.
        """
        while (job := self._next()) is not None:
            attempt = self.attempt = Attempt(job, self._resources)
            ended = await attempt.run()
            self.ended.append(ended)
            self.attempt = None
            self._pace.ran(job.processor, ended.seconds)
            if attempt.stopped:
                self.hand_back("the job before it was stopped")
            if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
                await self.flush(self._resources.database)
        await self.flush(self._resources.database)

    def _next(self) -> ClaimedJob | None:
        with self._taking:
            return self.waiting.popleft() if self.waiting else None

    async def flush(self, database: Database) -> None:
        """Record what has ended so far; what another thread is recording just now is recorded then too.

        Raises NotRecorded.
        """
        if not self._recording.acquire(blocking=False):
            await asyncio.to_thread(self._recording.acquire)
        try:
            taken = list[Ended]()
            with contextlib.suppress(IndexError):
                while True:
                    taken.append(self.ended.popleft())
            self._flushed_at = time.monotonic()
            await record(database, taken)
        finally:
            self._recording.release()

    def hand_back(self, reason: str, only: Collection[UUID] | None = None) -> int:
        """Let go of the jobs that have not been started (of `only` these, by id); answers how many."""
        with self._taking:
            jobs, self.waiting = self.waiting, deque()
            for job in jobs:
                if only is None or job.id in only:
                    self.ended.append(Ended(job, handed_back(job, reason)))
                else:
                    self.waiting.append(job)
            return len(jobs) - len(self.waiting)

    @property
    def flush_is_late(self) -> bool:
        return bool(self.ended) and time.monotonic() - self._flushed_at > 2 * FLUSH_SECONDS

    @property
    def is_held_up(self) -> bool:
        """Whether the job that runs takes much longer than it should while others wait behind it."""
        attempt = self.attempt
        return attempt is not None and bool(self.waiting) and attempt.age() > self._pace.patience(attempt.job.processor)


class Caretaker(threading.Thread):
    """Looks after the slice that runs, whatever the event loop is doing. It has a database connection of its own."""

    def __init__(self, settings: Settings, stopping: Callable[[], bool], not_recorded: Callable[[], None]) -> None:
        super().__init__(name="caretaker", daemon=True)
        self._database_url = settings.database_url.get_secret_value()
        self._stopping = stopping
        self._not_recorded = not_recorded
        self._busy = threading.Event()
        self._ending = False
        self._slice: SliceRun | None = None

    def watch(self, run: SliceRun) -> None:
        """From now on look after this slice; what it replaces has ended."""
        self._slice = run
        self._busy.set()

    def rest(self) -> None:
        """There is nothing to look after for now."""
        self._busy.clear()
        self._slice = None

    def end(self) -> None:
        """End the thread, once it has recorded what it has in hand."""
        self._ending = True
        self._busy.set()
        self.join(timeout=5)

    def run(self) -> None:
        with asyncio.Runner() as runner:
            database = Database(
                self._database_url, 1, "helixnet caretaker", lookups=True, patience_seconds=ANSWER_SECONDS
            )
            while self._busy.wait() and not self._ending:
                run = self._slice
                if run is not None:
                    runner.run(self._look_after(run, database))
                time.sleep(LOOK_SECONDS)
            runner.run(database.close())

    async def _look_after(self, run: SliceRun, database: Database) -> None:
        handed = 0
        if run.waiting and self._stopping():
            handed = run.hand_back("worker shutting down")
        elif run.is_held_up:
            handed = run.hand_back("the job before it takes long")
        if handed or run.flush_is_late:
            try:
                await run.flush(database)
            except Exception:
                # Whatever it was, nobody will try again: without our lease, the reaper says what is true.
                logger.exception("outcomes are left to the reaper")
                self._not_recorded()
        if handed:
            logger.info("jobs that were not started are handed back", jobs=handed)
