"""Attempts at jobs of a real ledger, each run isolated."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import uuid_utils.compat as uuids

from helixnet.artifacts import service as artifacts
from helixnet.blobs import BlobStore
from helixnet.hints import Hints
from helixnet.jobs.store import reading
from helixnet.processors import Processor
from helixnet.worker.context import RunContext
from helixnet.worker.isolation.run import Isolation
from tests.jobs.conftest import Ledger


@dataclass
class IsolatedBench:
    """What a worker process has."""

    ledger: Ledger
    blobs: BlobStore
    isolation: Isolation

    async def attempt(self, content: bytes | AsyncIterator[bytes] | None = None) -> RunContext:
        """A job that is in progress, with its context; its input is `content`."""
        database, owner, payload = self.ledger.database, self.ledger.owner, {}
        stored = None
        if content is not None:
            key = f"jobs/{owner}/{uuids.uuid7()}/input/a.txt"
            stored = await artifacts.put(self.blobs, key, content, "a.txt", "text/plain")
            async with database.transaction() as session:
                await artifacts.register(session, owner, [stored])
            payload = {"content_key": key}
        job_id = await self.ledger.submit(processor="tests", payload=payload)
        if stored is not None:
            async with database.transaction() as session:
                await reading.link(session, job_id, "input", 0, {"content_key": stored.id})
        (job,) = await self.ledger.claim(await self.ledger.worker())
        context = RunContext(job, database, self.blobs, Hints(""))
        await context.open_inputs()
        return context

    async def run(self, processor: Processor, content: bytes | None = None, **params: Any) -> Any:
        """The result of a processor of the tests."""
        given = processor.params.model_validate(params)
        return await self.isolation.run(processor, await self.attempt(content), given)

    async def events(self, context: RunContext, kind: str) -> list[dict[str, Any]]:
        async with self.ledger.database.transaction() as session:
            return [
                event.data or {}
                for event in await reading.events(session, context.job_id, 0, 100)
                if event.kind == kind
            ]
