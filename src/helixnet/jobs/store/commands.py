"""What the owners of jobs command: submit, cancel, retry. Each is one guarded statement with its events.

All of them take any number of jobs: a batch costs little more than a job, and one job is a short list.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import TextClause, insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import Executor, dump_json
from helixnet.jobs.models import Batch
from helixnet.jobs.states import Status
from helixnet.jobs.store.telling import telling
from helixnet.metrics import catalog

# So many jobs are written into a document at once; more would hold up the event loop, and go to a thread.
FEW = 500


@dataclass(slots=True, kw_only=True)
class NewJob:
    """A job as it enters the ledger. `params` and `payload` are JSON text, `trace` is what `tracing` keeps."""

    id: UUID
    owner_id: UUID
    processor: str
    params: str
    payload: str
    queue: str
    priority: int
    max_attempts: int
    time_limit: timedelta
    available_at: datetime | None = None
    reason: str = "submitted"
    trace: bytes | None = None


# All jobs come as one document: with a list for each column this process would work seven times as long (17 against
# 2.5 us for a job, measured), and for a job that comes alone it makes no difference. `params` and `payload` are text in
# it that holds JSON, for PostgreSQL takes no string with a NUL out of a document.
SUBMIT = text("""
    WITH given AS MATERIALIZED (
        SELECT *, COALESCE(given_at, now()) AS available_at
        FROM json_to_recordset(CAST(:jobs AS json)) AS job (
            id uuid, owner_id uuid, processor text, params text, payload text, queue text, priority smallint,
            max_attempts integer, seconds double precision, given_at timestamptz, reason text, trace text
        )
    ),
    entered AS (
        INSERT INTO jobs (id, owner_id, batch_id, processor, params, payload, queue, priority, status, max_attempts,
                          time_limit, available_at, due, events, trace)
        SELECT id, owner_id, CAST(:batch_id AS uuid), processor, CAST(params AS json), CAST(payload AS json), queue,
               priority, 'PENDING', max_attempts, make_interval(secs => seconds), available_at, available_at <= now(),
               1, decode(trace, 'hex')
        FROM given
    ),
    told AS (
        INSERT INTO job_events (job_id, seq, owner_id, kind, attempt, data)
        SELECT id, 1, owner_id, 'PENDING', 0, json_build_object('reason', reason)
        FROM given
    )
    INSERT INTO queues (name)
    SELECT DISTINCT queue
    FROM given
    ORDER BY queue
    ON CONFLICT DO NOTHING
""")

LINK_INPUTS = text("""
    INSERT INTO job_artifacts (job_id, direction, role, attempt, artifact_id)
    SELECT job_id, 'input', role, 0, artifact_id
    FROM json_to_recordset(CAST(:links AS json)) AS link (job_id uuid, role text, artifact_id uuid)
""")


# Rows are locked in the order of their ids: two commands for the same jobs shall not wait for each other in a ring.
def _cancel(which: str, answer: str) -> TextClause:
    return telling(
        f"""
        chosen AS (
            SELECT id
            FROM jobs
            WHERE {which} AND (status = 'PENDING' OR status = 'IN_PROGRESS' AND cancel_requested_at IS NULL)
            ORDER BY id
            FOR UPDATE
        ),
        changed AS (
            UPDATE jobs
            SET status = CASE WHEN status = 'PENDING' THEN 'CANCELLED' ELSE status END,
                finished_at = CASE WHEN status = 'PENDING' THEN now() END,
                cancel_requested_at = now(),
                events = events + 1
            FROM chosen
            WHERE jobs.id = chosen.id
            RETURNING jobs.id, owner_id, events, attempt, status
        )
        """,  # noqa: S608 - put together from constants of this file alone
        kind="CASE WHEN status = 'CANCELLED' THEN 'CANCELLED' ELSE 'CANCEL_REQUESTED' END",
        data="json_build_object('reason', 'asked for by the user')",
        answer=answer,
    )


def _retry(source: str, which: str, attempts: str, answer: str) -> TextClause:
    return telling(
        f"""
        chosen AS (
            SELECT jobs.id, {attempts} AS attempts
            FROM {source}
            WHERE {which} AND status IN ('FAILED', 'CANCELLED')
            ORDER BY jobs.id
            FOR UPDATE OF jobs
        ),
        changed AS (
            UPDATE jobs
            SET status = 'PENDING',
                available_at = now(),
                due = true,
                max_attempts = attempt + attempts,
                cancel_requested_at = NULL,
                progress = NULL,
                progress_message = NULL,
                error = NULL,
                fingerprint = NULL,
                started_at = NULL,
                finished_at = NULL,
                events = events + 1
            FROM chosen
            WHERE jobs.id = chosen.id
            RETURNING jobs.id, owner_id, events, attempt, queue
        )
        """,  # noqa: S608 - put together from constants of this file alone
        kind="'PENDING'",
        data="json_build_object('reason', 'retried by the user')",
        answer=answer,
    )


CANCEL = _cancel("id = ANY(CAST(:ids AS uuid[]))", answer="id, status")
CANCEL_BATCH = _cancel("batch_id = :batch_id AND status IN ('PENDING', 'IN_PROGRESS')", answer="count(*)")

RETRY = _retry(
    "unnest(CAST(:ids AS uuid[]), CAST(:attempts AS integer[])) AS granted (id, attempts) CROSS JOIN jobs",
    which="jobs.id = granted.id",
    attempts="granted.attempts",
    answer="id, queue",
)
RETRY_BATCH = _retry(
    "jobs",
    which="batch_id = :batch_id",
    attempts="COALESCE(CAST(CAST(:attempts AS json) ->> processor AS integer), 1)",
    answer="DISTINCT queue, count(*) OVER (PARTITION BY queue) AS jobs",
)


async def submit(session: Executor, jobs: Sequence[NewJob], batch_id: UUID | None = None) -> None:
    """Enter jobs as PENDING, all or none."""
    for queue, count in Counter(job.queue for job in jobs).items():
        catalog.JOBS_SUBMITTED.add(count, queue)
    document = _jobs(jobs) if len(jobs) <= FEW else await asyncio.to_thread(_jobs, jobs)
    await session.execute(SUBMIT, {"batch_id": batch_id, "jobs": document})


def _jobs(jobs: Sequence[NewJob]) -> str:
    return dump_json(
        [
            {
                "id": job.id,
                "owner_id": job.owner_id,
                "processor": job.processor,
                "params": job.params,
                "payload": job.payload,
                "queue": job.queue,
                "priority": job.priority,
                "max_attempts": job.max_attempts,
                "seconds": job.time_limit.total_seconds(),
                "given_at": job.available_at,
                "reason": job.reason,
                "trace": job.trace.hex() if job.trace is not None else None,
            }
            for job in jobs
        ]
    )


async def link_inputs(session: AsyncSession, jobs: Mapping[UUID, Mapping[str, UUID]]) -> None:
    """Tie artifacts to jobs that were just submitted: the inputs of each by role."""
    if jobs:
        await session.execute(LINK_INPUTS, {"links": await asyncio.to_thread(_links, jobs)})


def _links(jobs: Mapping[UUID, Mapping[str, UUID]]) -> str:
    return dump_json(
        [
            {"job_id": job_id, "role": role, "artifact_id": artifact_id}
            for job_id, inputs in jobs.items()
            for role, artifact_id in inputs.items()
        ]
    )


async def open_batch(session: AsyncSession, batch_id: UUID, owner_id: UUID, size: int) -> None:
    """Enter a batch; its jobs follow in the same transaction."""
    await session.execute(insert(Batch).values(id=batch_id, owner_id=owner_id, size=size))


async def cancel(session: AsyncSession, job_ids: Sequence[UUID]) -> dict[UUID, Status]:
    """Cancel waiting jobs, and ask the workers of running ones to stop; answers the states of those it concerned."""
    rows = await session.execute(CANCEL, {"ids": list(job_ids)})
    return {job_id: Status(status) for job_id, status in rows}


async def retry(session: AsyncSession, attempts: dict[UUID, int]) -> dict[UUID, str]:
    """Give FAILED and CANCELLED jobs so many more attempts each; answers the queues of those it concerned."""
    rows = await session.execute(RETRY, {"ids": list(attempts), "attempts": list(attempts.values())})
    return {row.id: row.queue for row in rows}


async def cancel_batch(session: AsyncSession, batch_id: UUID) -> int:
    """As `cancel`, for all jobs of a batch; answers how many it concerned."""
    return int(await session.scalar(CANCEL_BATCH, {"batch_id": batch_id}) or 0)


async def retry_batch(session: AsyncSession, batch_id: UUID, attempts: Mapping[str, int]) -> dict[str, int]:
    """As `retry`, for all jobs of a batch, with so many attempts by processor; answers how many in which queue."""
    rows = await session.execute(RETRY_BATCH, {"batch_id": batch_id, "attempts": dump_json(attempts)})
    return {row.queue: row.jobs for row in rows}
