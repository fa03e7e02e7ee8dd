"""The ledger's statements as the code of revision 0001 had them, and processes that go on with them."""

import threading
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import uuid_utils.compat as uuids

SUBMIT = """
    WITH changed AS (
        INSERT INTO jobs (id, owner_id, processor, params, payload, queue, priority, status, max_attempts,
                          time_limit, available_at, events)
        VALUES (%(id)s, %(owner_id)s, 'core.echo', '{"message": "from before"}', '{}', 'default', 4,
                'PENDING', 3, '5 minutes', now() + %(delay)s * interval '1 second', 1)
        RETURNING id, owner_id
    ),
    told AS (
        INSERT INTO job_events (job_id, seq, owner_id, kind, attempt, data)
        SELECT id, 1, owner_id, 'PENDING', 0, json_build_object('reason', 'submitted')
        FROM changed
    )
    INSERT INTO queues (name) VALUES ('default') ON CONFLICT DO NOTHING
"""

CLAIM = """
    WITH due AS (
        SELECT next.id
        FROM generate_series(9, 0, -1) AS level
        CROSS JOIN LATERAL (
            SELECT id
            FROM jobs
            WHERE status = 'PENDING' AND queue = 'default' AND priority = level AND available_at <= now()
            ORDER BY available_at, id
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        ) AS next
        WHERE NOT EXISTS (SELECT 1 FROM queues WHERE name = 'default' AND paused)
          AND EXISTS (SELECT 1 FROM workers WHERE id = %(worker_id)s)
        LIMIT 1
    ),
    changed AS (
        UPDATE jobs
        SET status = 'IN_PROGRESS', attempt = attempt + 1, worker_id = %(worker_id)s, started_at = now(),
            deadline_at = now() + time_limit, progress = NULL, progress_message = NULL, events = events + 1
        FROM due
        WHERE jobs.id = due.id
        RETURNING jobs.*
    ),
    told AS (
        INSERT INTO job_events (job_id, seq, owner_id, kind, attempt, data)
        SELECT id, events, owner_id, 'IN_PROGRESS', attempt, json_build_object('worker', CAST(worker_id AS text))
        FROM changed
    )
    SELECT id, attempt FROM changed
"""

FINISH = """
    WITH changed AS (
        UPDATE jobs
        SET status = 'COMPLETED', result = '{"message": "from before"}', progress = 1, worker_id = NULL,
            deadline_at = NULL, finished_at = now(), events = events + 1
        WHERE id = %(id)s AND attempt = %(attempt)s AND status = 'IN_PROGRESS'
        RETURNING id, owner_id, events, attempt
    ),
    told AS (
        INSERT INTO job_events (job_id, seq, owner_id, kind, attempt, data)
        SELECT id, events, owner_id, 'COMPLETED', attempt, '{}'
        FROM changed
    )
    SELECT id FROM changed
"""

REGISTER = "INSERT INTO workers (id, node, host, pid, queues) VALUES (%s, 'before', 'before', 1, '{default}')"
HEARTBEAT = "UPDATE workers SET heartbeat_at = now() WHERE id = %s"


def submit(connection: "psycopg.Connection[Any]", delay_seconds: float = 0) -> UUID:
    """A job as the web of that time took it."""
    values = {"id": uuids.uuid7(), "owner_id": uuids.uuid7(), "delay": delay_seconds}
    connection.execute(SUBMIT, values)
    return values["id"]  # type: ignore[return-value]


@dataclass
class EarlierWorker(threading.Thread):
    """A worker process of that time, which also submits a job for each that it finishes."""

    url: str
    finished: list[UUID] = field(default_factory=list)
    submitted: list[UUID] = field(default_factory=list)
    problems: list[BaseException] = field(default_factory=list)
    slowest_seconds: float = 0.0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.ending = threading.Event()
        self.worker_id = uuids.uuid7()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        try:
            with psycopg.connect(
                self.url, autocommit=True, options="-c statement_timeout=30s", application_name="before"
            ) as connection:
                connection.execute(REGISTER, [self.worker_id])
                while not self.ending.wait(0.005):
                    self._step(connection)
                connection.execute("DELETE FROM workers WHERE id = %s", [self.worker_id])
        except psycopg.Error as problem:
            self.problems.append(problem)

    def _step(self, connection: "psycopg.Connection[Any]") -> None:
        connection.execute(HEARTBEAT, [self.worker_id])
        claimed = connection.execute(CLAIM, {"worker_id": self.worker_id}).fetchone()
        if claimed is None:
            return
        job_id, attempt = claimed
        if connection.execute(FINISH, {"id": job_id, "attempt": attempt}).fetchone():
            self.finished.append(job_id)
        self.submitted.append(submit(connection))
