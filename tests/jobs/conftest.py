"""The ledger at work: a database of its own for each test, and words for what happens in it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from helixnet.db import Database, dump_json
from helixnet.jobs.models import Job
from helixnet.jobs.states import Status
from helixnet.jobs.store import claims, commands, leases, reading, transitions
from helixnet.jobs.store.claims import ClaimedJob, Slice
from helixnet.jobs.store.commands import NewJob
from helixnet.jobs.store.lines import Lines
from helixnet.jobs.store.transitions import GivenUp, Settled

LEASE = timedelta(seconds=15)


@dataclass
class Ledger:
    """Transitions, each in a transaction of its own, as the product makes them."""

    database: Database
    owner: UUID = field(default_factory=uuids.uuid7)

    async def submit(self, **changes: Any) -> UUID:
        values: dict[str, Any] = {
            "id": uuids.uuid7(),
            "owner_id": self.owner,
            "processor": "core.echo",
            "params": "{}",
            "payload": "{}",
            "queue": "default",
            "priority": 4,
            "max_attempts": 3,
            "time_limit": timedelta(minutes=5),
            "available_at": None,
        }
        for name in changes.keys() & {"params", "payload"}:
            changes[name] = dump_json(changes[name])
        job = NewJob(**(values | changes))
        async with self.database.transaction() as session:
            await commands.submit(session, [job])
        return job.id

    async def worker(self, node: str = "here", pid: int = 1) -> UUID:
        worker_id = uuids.uuid7()
        async with self.database.transaction() as session:
            await leases.register(session, worker_id, node, "host", pid, ["default"])
        return worker_id

    async def claim(
        self,
        worker_id: UUID,
        queue: str = "default",
        limit: int = 1,
        costs: dict[str, float] | None = None,
        lines: Lines | None = None,
    ) -> list[ClaimedJob]:
        """A slice of jobs; without `costs` every processor's jobs take no time, without `lines` all is looked for."""
        costs = {"core.echo": 0} if costs is None else costs
        wanted = Slice(limit=limit, seconds=1, costs=costs, lines=lines or Lines())
        return await claims.claim(self.database, worker_id, queue, wanted)

    async def settle(self, *outcomes: Settled) -> dict[UUID, Status]:
        async with self.database.transaction() as session:
            return await transitions.settle(session, outcomes)

    async def finish(self, job_id: UUID, attempt: int, status: Status = Status.COMPLETED, **more: Any) -> bool:
        return job_id in await self.settle(Settled(id=job_id, attempt=attempt, status=status, **more))

    async def retry_later(self, job_id: UUID, attempt: int, seconds: float = 0) -> Status | None:
        outcome = Settled(
            id=job_id,
            attempt=attempt,
            status=Status.PENDING,
            error={"kind": "bug", "message": "broken"},
            reason="attempt failed",
            delay=timedelta(seconds=seconds),
        )
        return (await self.settle(outcome)).get(job_id)

    async def hand_back(self, job_id: UUID, attempt: int) -> Status | None:
        outcome = Settled(
            id=job_id, attempt=attempt, status=Status.PENDING, reason="worker shutting down", counts=False
        )
        return (await self.settle(outcome)).get(job_id)

    async def ripen(self, limit: int = 1000) -> list[str]:
        async with self.database.transaction() as session:
            return await claims.ripen(session, limit)

    async def cancel(self, job_id: UUID) -> Status | None:
        async with self.database.transaction() as session:
            return (await commands.cancel(session, [job_id])).get(job_id)

    async def retry(self, job_id: UUID) -> bool:
        async with self.database.transaction() as session:
            return job_id in await commands.retry(session, {job_id: 3})

    async def reap(self, lease: timedelta = LEASE, grace: timedelta = LEASE) -> list[GivenUp]:
        async with self.database.transaction() as session:
            return list(await transitions.reap(session, lease, grace, 100))

    async def heartbeat(self, worker_id: UUID) -> list[UUID] | None:
        async with self.database.transaction() as session:
            return await leases.heartbeat(session, worker_id, {})

    async def leave(self, worker_id: UUID) -> None:
        async with self.database.transaction() as session:
            await leases.leave(session, worker_id)

    async def job(self, job_id: UUID) -> Job:
        async with self.database.transaction() as session:
            job = await reading.get(session, job_id, None)
        assert job is not None
        return job

    async def kinds(self, job_id: UUID) -> list[str]:
        async with self.database.transaction() as session:
            return [event.kind for event in await reading.events(session, job_id, 0, 1000)]


@pytest.fixture
async def ledger(database: Database) -> Ledger:
    return Ledger(database)
