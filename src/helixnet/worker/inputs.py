"""A job's files as its processor reads them, out of storage."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from helixnet import log
from helixnet.blobs import BlobStore
from helixnet.db import Database
from helixnet.errors import TooLarge
from helixnet.jobs.store import reading
from helixnet.jobs.store.claims import ClaimedJob
from helixnet.processors.base import Reject
from helixnet.processors.context import Input
from helixnet.worker.files import Scratch, copied

logger = log.logger("helix.worker")


class LedgerAway(Exception):
    """The database did not answer before the work could begin: no fault of the job's."""


@dataclass(frozen=True, slots=True)
class StoredInput:
    """An input in storage, read when it is asked for."""

    key: str
    filename: str
    size: int
    media_type: str
    sha256: str
    blobs: BlobStore
    scratch: Scratch

    async def read(self, limit: int) -> bytes:
        try:
            return await self.blobs.get(self.key, limit)
        except TooLarge as error:
            raise Reject(f"{self.filename} has {self.size} bytes; at most {limit} can be processed.") from error

    def stream(self) -> AsyncIterator[bytes]:
        return self.blobs.stream(self.key)

    @property
    def stands_at(self) -> Path | None:
        """The file that the input is, where storage is a folder of this machine."""
        return None if self.blobs.folder is None else self.blobs.folder / self.key

    async def path(self) -> Path:
        return self.stands_at or await copied(self, self.scratch.folder)


async def open_inputs(job: ClaimedJob, database: Database, blobs: BlobStore, scratch: Scratch) -> dict[str, Input]:
    """The job's inputs by role, to be copied to `scratch` where need be. Raises LedgerAway."""
    if not job.payload:
        return {}
    try:
        async with database.statement() as session:
            found = {
                artifact.storage_key: artifact
                for link, artifact in await reading.artifacts(session, job.id)
                if link.direction == "input"
            }
    except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
        raise LedgerAway from error
    opened: dict[str, Input] = {}
    for role, key in job.payload.items():
        about = found.get(key)
        if about is None:
            raise Reject(f"{role}: the file is no longer stored.")
        logger.info("⬇️ Downloading file for %s from storage key: %s", role, key, size=about.size)
        opened[role] = StoredInput(key, about.filename, about.size, about.media_type, about.sha256, blobs, scratch)
    return opened
