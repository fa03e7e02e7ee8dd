"""The steps of an attempt after its claim, each one guarded SQL statement that writes its events along with the change.

`attempt` is the fencing token: a statement that ends an attempt names it, so an attempt that was given up meanwhile
changes nothing and learns of it by its absence from the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from helixnet import arrays
from helixnet.arrays import Array, Element
from helixnet.db import Executor, dump_json
from helixnet.jobs.states import Status
from helixnet.jobs.store.telling import telling


# Not frozen: making one would take four times as long, for every job.
@dataclass(slots=True, kw_only=True)
class Settled:
    """How an attempt ended; never changed.

    With PENDING the job is to run again after `delay`: if the attempt counts and was the last one the job is FAILED
    with `error` instead, and CANCELLED if its owner asked for that. `result` is JSON text. `traceback` is no part of
    the job: see store/tracebacks.py.
    """

    id: UUID
    attempt: int
    status: Status
    result_path: str | None = None
    result: bytes | None = None
    error: dict[str, Any] | None = None
    fingerprint: str | None = None
    reason: str | None = None
    delay: timedelta = timedelta(0)
    counts: bool = True
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """An attempt that the reaper took from its worker, and the state that the job is in now."""

    id: UUID
    owner_id: UUID
    attempt: int
    status: Status


STATES = {status.value: status for status in Status}

VERDICT = """
    CASE WHEN outcome.status <> 'PENDING' THEN outcome.status
         WHEN cancel_requested_at IS NOT NULL THEN 'CANCELLED'
         WHEN jobs.attempt < max_attempts OR NOT outcome.counts THEN 'PENDING'
         ELSE 'FAILED' END
"""

# A whole slice in one statement. What was given up doesn't match, and is missing in the answer. The state that is
# asked for comes from a column: as a constant it would invite the planner to walk all running jobs for each outcome.
SETTLE = telling(
    f"""
    outcome AS MATERIALIZED (
        -- Lists, not one JSON document: taken out of that, PostgreSQL refuses a string with a NUL in it.
        SELECT *, text 'IN_PROGRESS' AS guard
        FROM unnest(
            CAST(:ids AS uuid[]), CAST(:attempts AS integer[]), CAST(:statuses AS text[]),
            CAST(:result_paths AS text[]), CAST(:results AS json[]), CAST(:errors AS json[]),
            CAST(:fingerprints AS text[]), CAST(:reasons AS text[]), CAST(:delays AS double precision[]),
            CAST(:counts AS boolean[])
        ) AS outcome (id, attempt, status, result_path, result, error, fingerprint, reason, delay, counts)
    ),
    changed AS (
        UPDATE jobs
        SET status = {VERDICT},
            result_path = outcome.result_path,
            result = outcome.result,
            error = outcome.error,
            fingerprint = outcome.fingerprint,
            progress = CASE WHEN outcome.status = 'COMPLETED' THEN 1 ELSE progress END,
            -- What is handed back keeps its place in line.
            available_at = CASE WHEN {VERDICT} = 'PENDING' AND outcome.counts
                                THEN now() + outcome.delay * INTERVAL '1 second'
                                ELSE available_at END,
            due = outcome.delay <= 0 OR {VERDICT} <> 'PENDING',
            max_attempts = max_attempts + CASE WHEN outcome.counts THEN 0 ELSE 1 END,
            worker_id = NULL,
            deadline_at = NULL,
            finished_at = CASE WHEN {VERDICT} <> 'PENDING' THEN now() END,
            events = events + 1
        FROM outcome
        WHERE jobs.id = outcome.id AND jobs.attempt = outcome.attempt AND jobs.status = outcome.guard
        RETURNING jobs.id, jobs.owner_id, jobs.events, jobs.attempt, jobs.status, jobs.result_path, jobs.error,
                  outcome.reason, outcome.delay
    )
    """,  # noqa: S608 - put together from constants of this file alone
    kind="status",
    data="""CASE status
                WHEN 'COMPLETED' THEN json_build_object('result_path', result_path)
                WHEN 'FAILED' THEN json_build_object('error', error)
                WHEN 'CANCELLED' THEN json_build_object('reason', 'asked for by the user')
                ELSE json_build_object('reason', reason, 'delay_seconds', delay, 'error', error) END""",
    answer="id, status",
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
# Of several jobs lost with one worker all but one had not been started: none of them loses an attempt by it, and each
# runs alone the next time (see claims), where a loss counts.
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
        SELECT jobs.id, jobs.worker_id, jobs.processor, COALESCE(jobs.deadline_at < now(), false) AS late
        FROM jobs
        WHERE status = 'IN_PROGRESS'
          AND (worker_id IN (SELECT id FROM silent)
               OR NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = jobs.worker_id)
               OR deadline_at < now() - :grace)
        ORDER BY jobs.id
        LIMIT :limit
        FOR UPDATE OF jobs SKIP LOCKED
    ),
    judged AS (
        SELECT lost.id, late, kind, type, message,
               NOT late AND count(*) OVER (PARTITION BY worker_id) > 1 AS spared,
               -- As worker/failure.py forms it.
               left(encode(sha256(convert_to(
                   concat_ws(E'\\n', processor, kind, type, ''), 'UTF8')), 'hex'), 16) AS print
        FROM lost
        JOIN (VALUES
            (true, 'limit', 'TimeLimit', 'The work took longer than its time limit.'),
            (false, 'worker_lost', 'WorkerLost', 'The worker process was lost while it ran this job.')
        ) AS reason (of_late, kind, type, message) ON of_late = late
    ),
    changed AS (
        UPDATE jobs
        SET status = CASE WHEN cancel_requested_at IS NOT NULL THEN 'CANCELLED'
                          WHEN attempt < max_attempts OR spared THEN 'PENDING'
                          ELSE 'FAILED' END,
            available_at = CASE WHEN spared THEN available_at
                                ELSE now() + LEAST(attempt - 1, 12) * INTERVAL '5 seconds' END,
            due = spared OR attempt <= 1,
            max_attempts = max_attempts + CASE WHEN spared THEN 1 ELSE 0 END,
            finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR attempt >= max_attempts AND NOT spared
                               THEN now() END,
            error = CASE WHEN cancel_requested_at IS NULL THEN json_build_object(
                        'kind', kind, 'message', message, 'type', type, 'place', '', 'fingerprint', print) END,
            fingerprint = CASE WHEN cancel_requested_at IS NULL THEN print END,
            worker_id = NULL,
            deadline_at = NULL,
            events = events + 1
        FROM judged
        WHERE jobs.id = judged.id
        RETURNING jobs.id, jobs.owner_id, jobs.events, jobs.attempt, jobs.status, jobs.error, late
    )
    """,
    kind="status",
    data="""CASE WHEN status = 'CANCELLED' THEN json_build_object('reason', 'asked for by the user')
            ELSE json_build_object('reason', CASE WHEN late THEN 'time limit' ELSE 'worker lost' END,
                                   'error', error) END""",
    answer="id, owner_id, attempt, status",
)


async def settle(session: Executor, outcomes: Sequence[Settled]) -> dict[UUID, Status]:
    """End attempts; answers the new states of their jobs. Those that had been given up are not among them."""
    if not outcomes:
        return {}
    # In the order of the ids: two statements that lock the same jobs shall not wait for each other in a ring.
    ordered = sorted(outcomes, key=attrgetter("id"))
    rows = await session.execute(
        SETTLE,
        {
            "ids": Array.of(Element.UUID, [arrays.uuid(one.id) for one in ordered]),
            "attempts": Array.of(Element.INTEGER, [arrays.integer(one.attempt) for one in ordered]),
            "statuses": Array.of(Element.TEXT, [arrays.text(one.status.value) for one in ordered]),
            "result_paths": Array.of(Element.TEXT, [arrays.text(one.result_path) for one in ordered]),
            "results": Array.of(Element.JSON, [arrays.json(one.result) for one in ordered]),
            "errors": Array.of(Element.JSON, [arrays.text(_error(one)) for one in ordered]),
            "fingerprints": Array.of(Element.TEXT, [arrays.text(one.fingerprint) for one in ordered]),
            "reasons": Array.of(Element.TEXT, [arrays.text(one.reason) for one in ordered]),
            "delays": Array.of(Element.DOUBLE, [arrays.double(one.delay.total_seconds()) for one in ordered]),
            "counts": Array.of(Element.BOOLEAN, [arrays.boolean(one.counts) for one in ordered]),
        },
    )
    return {job_id: STATES[status] for job_id, status in rows}


def _error(outcome: Settled) -> str | None:
    return dump_json(outcome.error) if outcome.error else None


async def note(
    session: Executor,
    job_id: UUID,
    attempt: int,
    kind: str,
    data: dict[str, Any],
    progress: float | None = None,
) -> bool:
    """Add a progress step or a log line to a running attempt; False when it was given up."""
    message = data.get("message") if kind == "PROGRESS" else None
    values = {"id": job_id, "attempt": attempt, "kind": kind, "data": dump_json(data)}
    return (await session.execute(NOTE, values | {"progress": progress, "message": message})).first() is not None


async def reap(session: AsyncSession, lease: timedelta, grace: timedelta, limit: int) -> Sequence[GivenUp]:
    """Take the jobs of lost workers away from them."""
    rows = await session.execute(REAP, {"lease": lease, "grace": grace, "limit": limit})
    return [GivenUp(row.id, row.owner_id, row.attempt, Status(row.status)) for row in rows]
