"""Beat's look at the ledger for the metrics: how the queues stand, at a cost that does not grow with the ledger."""

import asyncio
import shutil
import time
from datetime import timedelta

from helixnet.blobs import BlobStore
from helixnet.db import Database
from helixnet.jobs.states import Status
from helixnet.jobs.store import queues, survey
from helixnet.metrics import catalog

EVERY_SECONDS = 5.0


class Survey:
    """The gauges that describe the whole platform. Every beat looks for itself, so that each one's are true."""

    def __init__(self, database: Database, blobs: BlobStore, lease: timedelta) -> None:
        self._database = database
        self._folder = blobs.folder
        self._lease = lease
        self._due = 0.0

    async def look(self) -> None:
        """Look, if it is time again. Raises SQLAlchemyError and OSError."""
        begun = time.monotonic()
        if begun < self._due:
            return
        self._due = begun + EVERY_SECONDS
        async with self._database.transaction() as session:
            standing = await queues.standing(session, self._lease)
            later, running, size = await survey.alive(session)
            ended = await survey.ended(session)
            oldest = await survey.open_transactions(session, timedelta(0), 1)
        catalog.QUEUE_WAITING.replace({queue.name: queue.waiting for queue in standing})
        catalog.QUEUE_OLDEST.replace({queue.name: max(0.0, queue.oldest_seconds or 0.0) for queue in standing})
        catalog.QUEUE_RUNNING.replace({queue.name: queue.running for queue in standing})
        catalog.QUEUE_WORKERS.replace({queue.name: queue.workers for queue in standing})
        catalog.QUEUE_PAUSED.replace({queue.name: queue.paused for queue in standing})
        waiting = later + sum(queue.waiting for queue in standing)
        counted = {Status.PENDING: waiting, Status.IN_PROGRESS: running, **ended}
        catalog.JOBS.replace({status.lower(): count for status, count in counted.items()})
        catalog.DATABASE_BYTES.set(size)
        catalog.OLDEST_TRANSACTION.set(oldest[0].seconds if oldest else 0.0)
        if self._folder is not None and self._folder.exists():
            disk = await asyncio.to_thread(shutil.disk_usage, self._folder)
            catalog.DISK_BYTES.set(disk.total, "objects")
            catalog.DISK_FREE_BYTES.set(disk.free, "objects")
        catalog.SURVEY_SECONDS.observe(time.monotonic() - begun)
