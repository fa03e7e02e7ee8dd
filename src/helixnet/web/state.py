"""What a web process holds: one of each, opened when it starts and closed when it ends."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from uuid import UUID

from fastapi import FastAPI

from helixnet import __version__, broker
from helixnet.blobs import BlobStore
from helixnet.broker import Ringer
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.hints import Hints
from helixnet.jobs.intake import Intake
from helixnet.processors import registry
from helixnet.processors.registry import Registry
from helixnet.web.callers import Callers
from helixnet.web.lag import watched
from helixnet.web.live import Feed


@dataclass(frozen=True, slots=True)
class State:
    """The parts that requests share."""

    settings: Settings
    database: Database
    blobs: BlobStore
    hints: Hints
    registry: Registry
    ringer: Ringer
    feed: Feed
    callers: Callers
    intake: Intake
    version: str = __version__

    @property
    def lease(self) -> timedelta:
        """Silence after which a worker process is taken for lost."""
        return timedelta(seconds=self.settings.lease_seconds)

    def tell(self, owner_id: UUID, queue: str | None = None) -> None:
        """After a commit: show the change to who watches, and ring if there is new work."""
        self.hints.publish(owner_id)
        self.feed.nudge({owner_id})
        if queue is not None:
            self.ringer.ring(queue)


@contextmanager
def _closed_by_signals(feed: Feed) -> Iterator[None]:
    """End the live streams once the process is told to stop.

    uvicorn ends the lifespan only after every open answer, and a live stream is open for as long as somebody looks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)}

    def told(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(feed.close)
        if callable(handler := before[signal.Signals(number)]):
            handler(number, frame)

    for number in before:
        signal.signal(number, told)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@asynccontextmanager
async def open_state(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    """Open the parts, with the app running inside."""
    database = Database(settings.database_url.get_secret_value(), settings.database_pool_size, "helixnet web")
    hints = Hints(settings.cache_url.get_secret_value())
    ringer = Ringer(broker.create_app(settings))
    feed = Feed(database, hints)
    app.state.helix = State(
        settings=settings,
        database=database,
        blobs=BlobStore(settings),
        hints=hints,
        registry=registry.load(development=settings.development),
        ringer=ringer,
        feed=feed,
        callers=Callers(database, settings.secret_key.get_secret_value()),
        intake=Intake(database),
    )
    try:
        async with feed.running(), watched(database):
            with _closed_by_signals(feed):
                yield
    finally:
        ringer.close()
        await hints.close()
        await database.close()
