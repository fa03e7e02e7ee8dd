"""What a running processor sees of the platform: its inputs, its artifacts, progress, log and output."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from uuid import UUID

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from helixnet import log
from helixnet.artifacts import service as artifacts
from helixnet.artifacts.service import NewArtifact
from helixnet.blobs import BlobStore
from helixnet.db import Database
from helixnet.hints import Hints
from helixnet.jobs import service as jobs
from helixnet.jobs.store import transitions
from helixnet.jobs.store.claims import ClaimedJob
from helixnet.processors.context import Input
from helixnet.processors.metering import Answers, Meter
from helixnet.worker.files import Scratch, content_of
from helixnet.worker.inputs import open_inputs
from helixnet.worker.words import LONGEST_LINE, check_name, storable

PROGRESS_EVERY_SECONDS = OUTPUT_EVERY_SECONDS = 0.25

logger = log.logger("helix.worker")


class RunContext:
    """The `JobContext` of one attempt."""

    def __init__(self, job: ClaimedJob, database: Database, blobs: BlobStore, hints: Hints) -> None:
        self._job = job
        self._database = database
        self._blobs = blobs
        self._hints = hints
        self._told_at = 0.0
        self._output: list[str] = []
        self._output_at = 0.0
        self._scratch = Scratch()
        # Of a metered processor.
        self.meter: Meter | None = None
        self.answers: Answers | None = None
        self.inputs: Mapping[str, Input] = {}
        self.written: list[NewArtifact] = []
        self.stored = False  # whether anything was begun to be stored

    @property
    def prefix(self) -> str:
        """Where this attempt writes."""
        return jobs.attempt_prefix(self._job.owner_id, self._job.id, self._job.attempt)

    @property
    def job_id(self) -> UUID:
        return self._job.id

    @property
    def attempt(self) -> int:
        return self._job.attempt

    @property
    def idempotency_key(self) -> str:
        return str(self._job.id)

    @property
    def scratch(self) -> Path:
        return self._scratch.folder

    @property
    def cancelled(self) -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    async def progress(self, fraction: float, message: str = "") -> None:
        """Tell the progress, at most four times a second: what comes sooner is left out."""
        now = time.monotonic()
        if now - self._told_at < PROGRESS_EVERY_SECONDS and fraction < 1:
            return
        self._told_at = now
        fraction = min(max(fraction, 0.0), 1.0)
        await self._note("PROGRESS", {"fraction": fraction, "message": storable(message)}, fraction)

    async def log(self, message: str, **fields: object) -> None:
        line = storable(message)
        # In a field of their own: whatever names a processor uses, the line keeps its form.
        if fields:
            logger.info(line, fields=fields)
        else:
            logger.info(line)
        told: dict[str, object] = {key: str(value)[:LONGEST_LINE] for key, value in fields.items()}
        await self._note("LOG", told | {"message": line})

    async def output(self, text: str) -> None:
        """Show it at most four times a second, what came meanwhile together."""
        self._output.append(text)
        if time.monotonic() - self._output_at >= OUTPUT_EVERY_SECONDS:
            await self._show_output()

    async def open_inputs(self) -> None:
        """Open the job's files. Raises LedgerAway, and Reject when one is no longer stored."""
        self.inputs = await open_inputs(self._job, self._database, self._blobs, self._scratch)

    async def close(self) -> None:
        """Tell what has not been told yet, and leave no file behind on this machine."""
        try:
            await self._show_output()
        finally:
            await self._scratch.remove()

    async def _show_output(self) -> None:
        text, self._output, self._output_at = "".join(self._output), [], time.monotonic()
        for start in range(0, len(text), LONGEST_LINE):
            await self._note("OUTPUT", {"text": storable(text[start : start + LONGEST_LINE])})

    async def write(
        self, name: str, content: bytes | Path | AsyncIterator[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        check_name(name, [artifact.filename for artifact in self.written])
        self.stored = True
        source = content_of(content) if isinstance(content, Path) else content
        stored = await artifacts.put(self._blobs, self.prefix + name, source, name, media_type)
        self.written.append(stored)
        return stored.storage_key

    async def _note(self, kind: str, data: dict[str, object], progress: float | None = None) -> None:
        """Tell it, if the ledger can be reached: a line that is lost is no reason to fail."""
        try:
            async with self._database.connection() as connection:
                await transitions.note(connection, self.job_id, self.attempt, kind, data, progress)
        except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
            logger.warning("a note was lost: the database did not answer", error=log.first_line(error))
            return
        self._hints.publish(self._job.owner_id)
