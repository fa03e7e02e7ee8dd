"""The live feed: one reader of the event log for each web process, fanned out to the browsers that watch.

Hints say when to look; `job_events`, read in the order of visibility, says what happened. So a lost hint costs at
most the polling interval, and a reconnect that names the last mark it saw misses nothing.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from helixnet import log
from helixnet.db import Database
from helixnet.hints import Hints
from helixnet.jobs.models import JobEvent
from helixnet.jobs.store import reading

POLL_SECONDS = 1.0
GATHER_SECONDS = 0.05
BATCH = 1000
BACKLOG = 500

logger = log.logger("helix.web")


@dataclass(frozen=True, order=True, slots=True)
class Mark:
    """A place in the event log: what a browser names to go on where it stopped."""

    tx: int
    id: int

    def __str__(self) -> str:
        return f"{self.tx}-{self.id}"

    @classmethod
    def parse(cls, text: str | None) -> "Mark | None":
        """The mark in a `Last-Event-ID`, or None where it is none of ours."""
        numbers = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,19})", text or "")
        return cls(int(numbers[1]), int(numbers[2])) if numbers else None


@dataclass(frozen=True, slots=True)
class Change:
    """An event of a job, as the feed hands it out. `job_id` None: too much happened, look at everything again."""

    mark: Mark
    job_id: UUID | None
    kind: str


@dataclass(eq=False, slots=True)
class _Watcher:
    owner_id: UUID | None
    changes: "asyncio.Queue[Change]" = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    lagging: bool = False

    def offer(self, event: JobEvent) -> None:
        if self.owner_id is not None and event.owner_id != self.owner_id:
            return
        try:
            self.changes.put_nowait(Change(Mark(event.tx, event.id), event.job_id, event.kind))
        except asyncio.QueueFull:
            self.lagging = True


class Feed:
    """Reads new events once, for all who watch; idle while nobody does."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._watchers: set[_Watcher] = set()
        self._nudged = asyncio.Event()
        self._mark = Mark(0, 0)
        self._closing = asyncio.Event()

    def nudge(self, owner_ids: set[UUID]) -> None:
        """Events of these owners may be there to read."""
        if any(watcher.owner_id is None or watcher.owner_id in owner_ids for watcher in self._watchers):
            self._nudged.set()

    def close(self) -> None:
        """End every watch, now and from now on: the process is about to stop."""
        self._closing.set()
        for watcher in self._watchers:
            with contextlib.suppress(asyncio.QueueFull):  # who has a full queue is not waiting
                watcher.changes.put_nowait(Change(self._mark, None, "CLOSED"))

    async def watch(self, owner_id: UUID | None, last: Mark | None = None) -> AsyncGenerator[Change]:
        """Changes of an owner's jobs (of everybody's with None), from now on or from just after `last`, until close."""
        watcher = _Watcher(owner_id)
        if not self._watchers:
            now = await self._now()
            if not self._watchers:  # else another came meanwhile, and this mark would skip what it has yet to see
                self._mark = now
        start = self._mark
        self._watchers.add(watcher)
        try:
            if last is not None:
                async for change in self._missed(owner_id, last, start):
                    yield change
            while not self._closing.is_set():
                change = await watcher.changes.get()
                if self._closing.is_set():
                    return
                if watcher.lagging and watcher.changes.empty():
                    watcher.lagging = False
                    change = Change(change.mark, None, "RESET")
                yield change
        finally:
            self._watchers.discard(watcher)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reads and listens while the block runs."""
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._listen())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _now(self) -> Mark:
        async with self._database.transaction() as session:
            return Mark(await reading.horizon(session) - 1, 2**62)

    async def _missed(self, owner_id: UUID | None, last: Mark, until: Mark) -> AsyncIterator[Change]:
        async with self._database.transaction() as session:
            events = await reading.tail(session, (last.tx, last.id), until.tx + 1, owner_id, BACKLOG + 1)
        if len(events) > BACKLOG:
            yield Change(until, None, "RESET")
            return
        for event in events:
            if Mark(event.tx, event.id) <= until:
                yield Change(Mark(event.tx, event.id), event.job_id, event.kind)

    async def _listen(self) -> None:
        while True:
            async for owner_ids in self._hints.listen():
                self.nudge(owner_ids)
            await asyncio.sleep(POLL_SECONDS)

    async def _read(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), POLL_SECONDS)
            self._nudged.clear()
            if not self._watchers:
                continue
            try:
                while await self._read_batch():
                    pass
            except (SQLAlchemyError, OSError) as error:
                logger.warning("the live feed waits for the database", error=log.first_line(error))
            except Exception:
                # Without this task nobody would be shown anything until the process is replaced.
                logger.exception("the live feed could not be read")
            # What happens within a moment is read together; an event just behind the horizon gets its second look.
            await asyncio.sleep(GATHER_SECONDS)

    async def _read_batch(self) -> bool:
        """Hand out the next events; answers whether there may be more."""
        async with self._database.transaction() as session:
            horizon = await reading.horizon(session)
            events: Sequence[JobEvent] = await reading.tail(
                session, (self._mark.tx, self._mark.id), horizon, None, BATCH
            )
        for event in events:
            for watcher in self._watchers:
                watcher.offer(event)
        if events:
            self._mark = Mark(events[-1].tx, events[-1].id)
        return len(events) == BATCH
