"""The SQL of worker processes: registration and heartbeat."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import dump_json
from helixnet.jobs.models import Worker

# One round trip: prove life, and hear which of the running jobs are to be stopped. No row means that the lease was
# lost: somebody else may have the jobs already.
HEARTBEAT = text("""
    WITH alive AS (
        UPDATE workers
        SET heartbeat_at = now(),
            pace = CAST(:pace AS json),
            claimed_at = COALESCE(now() - CAST(:claimed_ago AS interval), claimed_at)
        WHERE id = :worker_id
        RETURNING id
    )
    SELECT ARRAY(
        SELECT jobs.id
        FROM jobs
        WHERE jobs.worker_id = :worker_id AND jobs.status = 'IN_PROGRESS' AND jobs.cancel_requested_at IS NOT NULL
    )
    FROM alive
""")


async def register(
    session: AsyncSession, worker_id: UUID, node: str, host: str, pid: int, queues: Sequence[str]
) -> None:
    """Enter a worker process: from now on it may claim."""
    await session.execute(insert(Worker).values(id=worker_id, node=node, host=host, pid=pid, queues=list(queues)))


async def heartbeat(
    session: AsyncSession, worker_id: UUID, pace: dict[str, float], claimed_ago: timedelta | None = None
) -> list[UUID] | None:
    """Prove life; answers the running jobs that were asked to stop, or None when the lease is lost.

    `pace` says how many seconds a job of each queue takes this process, as a moving average; `claimed_ago` how long ago
    the ledger last answered it a claim, None for never.
    """
    values = {"worker_id": worker_id, "pace": dump_json(pace), "claimed_ago": claimed_ago}
    stops: list[UUID] | None = await session.scalar(HEARTBEAT, values)
    return stops


async def leave(session: AsyncSession, worker_id: UUID) -> None:
    """Take a worker process out; what it still holds is reaped at the next chance."""
    await session.execute(delete(Worker).where(Worker.id == worker_id))


async def neighbours(session: AsyncSession, node: str) -> list[tuple[UUID, int]]:
    """The ids and pids of the worker processes on a node."""
    rows = await session.execute(select(Worker.id, Worker.pid).where(Worker.node == node))
    return [(worker_id, pid) for worker_id, pid in rows]


async def try_housekeeping_lock(session: AsyncSession, key: int) -> bool:
    """Whether this transaction may do the housekeeping; the lock ends with it."""
    return bool(await session.scalar(select(func.pg_try_advisory_xact_lock(key))))
