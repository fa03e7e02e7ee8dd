"""The steps of an attempt, each one guarded SQL statement that writes its event along with the change.

`attempt` is the fencing token: a statement that ends an attempt names it, so an attempt that was given up meanwhile
changes nothing and learns of it by the empty answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import dump_json
from helixnet.jobs.states import Status
from helixnet.jobs.store.telling import telling


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """An attempt that this worker process now holds."""

    id: UUID
    owner_id: UUID
    processor: str
    params: dict[str, Any]
    payload: dict[str, str]
    queue: str
    attempt: int
    max_attempts: int
    time_limit: timedelta


@dataclass(frozen=True, slots=True)
class GivenUp:
    """An attempt that the reaper took from its worker, and the state that the job is in now."""

    id: UUID
    owner_id: UUID
    attempt: int
    status: Status


# The priorities are probed one by one from the top, each an exact range of jobs_due_idx: the cost stays the same
# however many jobs of a higher priority wait for a later time.
CLAIM = telling(
    """
    due AS (
        SELECT next.id
        FROM generate_series(9, 0, -1) AS level
        CROSS JOIN LATERAL (
            SELECT id
            FROM jobs
            WHERE status = 'PENDING' AND queue = :queue AND priority = level AND available_at <= now()
            ORDER BY available_at, id
            LIMIT :limit
            FOR UPDATE SKIP LOCKED
        ) AS next
        WHERE NOT EXISTS (SELECT 1 FROM queues WHERE name = :queue AND paused)
          AND EXISTS (SELECT 1 FROM workers WHERE id = :worker_id)
        LIMIT :limit
    ),
    changed AS (
        UPDATE jobs
        SET status = 'IN_PROGRESS',
            attempt = attempt + 1,
            worker_id = :worker_id,
            started_at = now(),
            deadline_at = now() + time_limit,
            progress = NULL,
            progress_message = NULL,
            events = events + 1
        FROM due
        WHERE jobs.id = due.id
        RETURNING jobs.*
    )
    """,
    kind="'IN_PROGRESS'",
    data="json_build_object('worker', CAST(worker_id AS text))",
    answer="id, owner_id, processor, params, payload, queue, attempt, max_attempts, time_limit",
)

FINISH = telling(
    """
    changed AS (
        UPDATE jobs
        SET status = :status,
            result_path = :result_path,
            result = CAST(:result AS json),
            error = CAST(:error AS json),
            progress = CASE WHEN :status = 'COMPLETED' THEN 1 ELSE progress END,
            worker_id = NULL,
            deadline_at = NULL,
            finished_at = now(),
            events = events + 1
        WHERE id = :id AND attempt = :attempt AND status = 'IN_PROGRESS'
        RETURNING id, owner_id, events, attempt
    )
    """,
    kind=":status",
    data="CAST(:data AS json)",
    answer="id",
)

RETRY_LATER = telling(
    """
    changed AS (
        UPDATE jobs
        SET status = 'PENDING',
            available_at = now() + :delay,
            max_attempts = max_attempts + :uncounted,
            error = CAST(:error AS json),
            worker_id = NULL,
            deadline_at = NULL,
            events = events + 1
        WHERE id = :id AND attempt = :attempt AND status = 'IN_PROGRESS' AND attempt < max_attempts + :uncounted
          AND cancel_requested_at IS NULL
        RETURNING id, owner_id, events, attempt
    )
    """,
    kind="'PENDING'",
    data="CAST(:data AS json)",
    answer="id",
)

NOTE = telling(
    """
    changed AS (
        UPDATE jobs
        SET progress = COALESCE(CAST(:progress AS real), progress),
            progress_message = COALESCE(:message, progress_message),
            events = events + 1
        WHERE id = :id AND attempt = :attempt AND status = 'IN_PROGRESS'
        RETURNING id, owner_id, events, attempt
    )
    """,
    kind=":kind",
    data="CAST(:data AS json)",
    answer="id",
)

# A job is lost when its worker is silent for longer than its lease or has no row any more, or when its deadline
# passed and the worker, though alive, did not end it. The first loss is made good at once, later ones after a pause.
REAP = telling(
    """
    silent AS (
        -- After a restart of the database, every worker first gets its chance to be heard again.
        SELECT id
        FROM workers
        WHERE heartbeat_at < now() - :lease AND pg_postmaster_start_time() < now() - :lease
        FOR UPDATE SKIP LOCKED
    ),
    buried AS (
        DELETE FROM workers USING silent WHERE workers.id = silent.id
    ),
    lost AS (
        SELECT jobs.id, jobs.deadline_at < now() AS late
        FROM jobs
        WHERE status = 'IN_PROGRESS'
          AND (worker_id IN (SELECT id FROM silent)
               OR NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = jobs.worker_id)
               OR deadline_at < now() - :grace)
        ORDER BY jobs.id
        LIMIT :limit
        FOR UPDATE OF jobs SKIP LOCKED
    ),
    changed AS (
        UPDATE jobs
        SET status = CASE WHEN cancel_requested_at IS NOT NULL THEN 'CANCELLED'
                          WHEN attempt < max_attempts THEN 'PENDING'
                          ELSE 'FAILED' END,
            available_at = now() + LEAST(attempt - 1, 12) * INTERVAL '5 seconds',
            finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR attempt >= max_attempts THEN now() END,
            error = CASE WHEN cancel_requested_at IS NOT NULL THEN NULL
                         WHEN late THEN json_build_object('kind', 'limit', 'message',
                             'The work took longer than its time limit.')
                         ELSE json_build_object('kind', 'worker_lost', 'message',
                             'The worker process was lost while it ran this job.') END,
            worker_id = NULL,
            deadline_at = NULL,
            events = events + 1
        FROM lost
        WHERE jobs.id = lost.id
        RETURNING jobs.id, jobs.owner_id, jobs.events, jobs.attempt, jobs.status, jobs.error, late
    )
    """,
    kind="status",
    data="""CASE WHEN status = 'CANCELLED' THEN json_build_object('reason', 'asked for by the user')
            ELSE json_build_object('reason', CASE WHEN late THEN 'time limit' ELSE 'worker lost' END,
                                   'error', error) END""",
    answer="id, owner_id, attempt, status",
)


async def claim(session: AsyncSession, worker_id: UUID, queue: str, limit: int) -> list[ClaimedJob]:
    """Take the best due jobs of a queue: the highest priority first, then the oldest."""
    rows = await session.execute(CLAIM, {"worker_id": worker_id, "queue": queue, "limit": limit})
    return [ClaimedJob(*row) for row in rows]


async def finish(
    session: AsyncSession,
    job_id: UUID,
    attempt: int,
    status: Status,
    *,
    result_path: str | None = None,
    result: str | None = None,
    error: dict[str, Any] | None = None,
) -> bool:
    """End an attempt and with it the job; answers False when the attempt had been given up. `result` is JSON text."""
    data: dict[str, Any] = {"result_path": result_path} if status is Status.COMPLETED else {"error": error}
    if status is Status.CANCELLED:
        data = {"reason": "asked for by the user"}
    row = await session.execute(
        FINISH,
        {
            "id": job_id,
            "attempt": attempt,
            "status": status,
            "result_path": result_path,
            "result": result,
            "error": dump_json(error) if error else None,
            "data": dump_json(data),
        },
    )
    return row.first() is not None


async def retry_later(
    session: AsyncSession, job_id: UUID, attempt: int, delay: timedelta, reason: str, error: dict[str, Any] | None
) -> bool:
    """End an attempt and let the job wait for `delay`; False when it was given up, cancelled, or has none left."""
    return await _back_to_pending(session, job_id, attempt, delay, reason, error, uncounted=0)


async def hand_back(session: AsyncSession, job_id: UUID, attempt: int, reason: str) -> bool:
    """Give a job back that this worker can't go on with, at no cost in attempts (the number itself never returns)."""
    return await _back_to_pending(session, job_id, attempt, timedelta(0), reason, None, uncounted=1)


async def _back_to_pending(
    session: AsyncSession,
    job_id: UUID,
    attempt: int,
    delay: timedelta,
    reason: str,
    error: dict[str, Any] | None,
    uncounted: int,
) -> bool:
    row = await session.execute(
        RETRY_LATER,
        {
            "id": job_id,
            "attempt": attempt,
            "delay": delay,
            "uncounted": uncounted,
            "error": dump_json(error) if error else None,
            "data": dump_json({"reason": reason, "delay_seconds": delay.total_seconds(), "error": error}),
        },
    )
    return row.first() is not None


async def note(
    session: AsyncSession,
    job_id: UUID,
    attempt: int,
    kind: str,
    data: dict[str, Any],
    progress: float | None = None,
) -> bool:
    """Add a progress step or a log line to a running attempt; False when it was given up."""
    message = data.get("message") if kind == "PROGRESS" else None
    values = {"id": job_id, "attempt": attempt, "kind": kind, "data": dump_json(data)}
    return await session.scalar(NOTE, values | {"progress": progress, "message": message}) is not None


async def reap(session: AsyncSession, lease: timedelta, grace: timedelta, limit: int) -> Sequence[GivenUp]:
    """Take the jobs of lost workers away from them."""
    rows = await session.execute(REAP, {"lease": lease, "grace": grace, "limit": limit})
    return [GivenUp(row.id, row.owner_id, row.attempt, Status(row.status)) for row in rows]
