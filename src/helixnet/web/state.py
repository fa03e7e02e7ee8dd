"""What a web process holds: one of each, opened when it starts and closed when it ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from fastapi import FastAPI

from helixnet import __version__, broker
from helixnet.blobs import BlobStore
from helixnet.broker import Ringer
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.hints import Hints
from helixnet.processors import registry
from helixnet.processors.registry import Registry
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
    version: str = __version__

    def tell(self, owner_id: UUID, queue: str | None = None) -> None:
        """After a commit: show the change to who watches, and ring if there is new work."""
        self.hints.publish(owner_id)
        self.feed.nudge({owner_id})
        if queue is not None:
            self.ringer.ring(queue)


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
    )
    try:
        async with feed.running():
            yield
    finally:
        ringer.close()
        await hints.close()
        await database.close()
