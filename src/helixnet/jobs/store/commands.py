"""What the owner of a job commands: submit, cancel, retry. Each is one guarded statement with its event."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import dump_json
from helixnet.jobs.states import Status
from helixnet.jobs.store.telling import telling


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job as it enters the ledger."""

    id: UUID
    owner_id: UUID
    processor: str
    params: dict[str, Any]
    payload: dict[str, str]
    queue: str
    priority: int
    max_attempts: int
    time_limit: timedelta
    available_at: datetime | None


SUBMIT = text("""
    WITH changed AS (
        INSERT INTO jobs (id, owner_id, processor, params, payload, queue, priority, status, max_attempts,
                          time_limit, available_at, events)
        VALUES (:id, :owner_id, :processor, CAST(:params AS json), CAST(:payload AS json), :queue, :priority,
                'PENDING', :max_attempts, :time_limit, COALESCE(CAST(:available_at AS timestamptz), now()), 1)
        RETURNING id, owner_id
    ),
    told AS (
        INSERT INTO job_events (job_id, seq, owner_id, kind, attempt, data)
        SELECT id, 1, owner_id, 'PENDING', 0, json_build_object('reason', 'submitted')
        FROM changed
    )
    INSERT INTO queues (name) VALUES (:queue) ON CONFLICT DO NOTHING
""")

CANCEL = telling(
    """
    changed AS (
        UPDATE jobs
        SET status = CASE WHEN status = 'PENDING' THEN 'CANCELLED' ELSE status END,
            finished_at = CASE WHEN status = 'PENDING' THEN now() END,
            cancel_requested_at = now(),
            events = events + 1
        WHERE id = :id
          AND (status = 'PENDING' OR status = 'IN_PROGRESS' AND cancel_requested_at IS NULL)
        RETURNING id, owner_id, events, attempt, status
    )
    """,
    kind="CASE WHEN status = 'CANCELLED' THEN 'CANCELLED' ELSE 'CANCEL_REQUESTED' END",
    data="json_build_object('reason', 'asked for by the user')",
    answer="status",
)

RETRY = telling(
    """
    changed AS (
        UPDATE jobs
        SET status = 'PENDING',
            available_at = now(),
            max_attempts = attempt + :attempts,
            cancel_requested_at = NULL,
            progress = NULL,
            progress_message = NULL,
            error = NULL,
            started_at = NULL,
            finished_at = NULL,
            events = events + 1
        WHERE id = :id AND status IN ('FAILED', 'CANCELLED')
        RETURNING id, owner_id, events, attempt
    )
    """,
    kind="'PENDING'",
    data="json_build_object('reason', 'retried by the user')",
    answer="id",
)


async def submit(session: AsyncSession, job: NewJob) -> None:
    """Enter a job as PENDING."""
    await session.execute(
        SUBMIT,
        {
            "id": job.id,
            "owner_id": job.owner_id,
            "processor": job.processor,
            "params": dump_json(job.params),
            "payload": dump_json(job.payload),
            "queue": job.queue,
            "priority": job.priority,
            "max_attempts": job.max_attempts,
            "time_limit": job.time_limit,
            "available_at": job.available_at,
        },
    )


async def cancel(session: AsyncSession, job_id: UUID) -> Status | None:
    """Cancel a waiting job, or ask the worker of a running one to stop; None when there is nothing to change."""
    status = await session.scalar(CANCEL, {"id": job_id})
    return Status(status) if status else None


async def retry(session: AsyncSession, job_id: UUID, attempts: int) -> bool:
    """Give a FAILED or CANCELLED job `attempts` more attempts; False when it is in another state."""
    return await session.scalar(RETRY, {"id": job_id, "attempts": attempts}) is not None
