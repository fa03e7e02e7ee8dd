"""The SQL of queues: how they stand, and who has to wait in them for what. Nothing here counts further than a cap."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import Executor
from helixnet.jobs.models import Queue
from helixnet.jobs.store.reading import JobRow

# So many waiting jobs are counted, and no more; and so many owners' lines within a priority looked into.
CAP = 10_000
MOST_OWNERS = 1000

# Who is first in line is asked owner by owner, each time one look into jobs_line_idx.
STANDING = text("""
    SELECT name, paused, running_limit, owner_running_limit,
           (SELECT count(*) FROM (
               SELECT 1 FROM jobs WHERE status = 'PENDING' AND due AND queue = name LIMIT :cap + 1
           ) AS waiting) AS waiting,
           (SELECT count(*) FROM jobs WHERE status = 'IN_PROGRESS' AND queue = name) AS running,
           (SELECT count(*) FROM workers WHERE name = ANY(queues) AND heartbeat_at > now() - :lease) AS workers,
           CAST(EXTRACT(epoch FROM now() - (
               SELECT min(head.available_at)
               FROM generate_series(0, 9) AS level
               CROSS JOIN LATERAL (
                   WITH RECURSIVE line AS (
                       (SELECT owner_id, available_at, 1 AS number
                        FROM jobs
                        WHERE status = 'PENDING' AND due AND queue = name AND priority = level
                        ORDER BY owner_id, available_at
                        LIMIT 1)
                       UNION ALL
                       SELECT following.owner_id, following.available_at, number + 1
                       FROM line
                       CROSS JOIN LATERAL (
                           SELECT owner_id, available_at
                           FROM jobs
                           WHERE status = 'PENDING' AND due AND queue = name AND priority = level
                             AND owner_id > line.owner_id
                           ORDER BY owner_id, available_at
                           LIMIT 1
                       ) AS following
                       WHERE number < :owners
                   )
                   SELECT available_at
                   FROM line
               ) AS head
           )) AS double precision) AS oldest_seconds
    FROM queues
    WHERE CAST(:name AS text) IS NULL OR name = :name
    ORDER BY name
""")

# Who goes before a job, by the rules of claims: all of a higher priority; in its own, those before it in its owner's
# line, and of every other owner as many as fit in as many rounds. Counting ends where the three together reach the
# cap. Each part asks in the order of jobs_line_idx, priority by priority: joined otherwise, the planner may walk the
# index from end to end.
AHEAD = text("""
    WITH RECURSIVE higher AS MATERIALIZED (
        SELECT count(*) AS jobs
        FROM (
            SELECT 1
            FROM generate_series(:priority + 1, 9) AS level
            CROSS JOIN LATERAL (
                SELECT 1
                FROM jobs
                WHERE status = 'PENDING' AND due AND queue = :queue AND priority = level
                ORDER BY owner_id, available_at
                LIMIT :cap
            ) AS job
            LIMIT :cap
        ) AS job
    ),
    own AS MATERIALIZED (
        SELECT count(*) AS jobs
        FROM (
            SELECT 1
            FROM jobs
            WHERE status = 'PENDING' AND due AND queue = :queue AND priority = :priority AND owner_id = :owner_id
              AND (available_at, id) < (:available_at, :id)
            ORDER BY available_at, id
            LIMIT :cap - (SELECT jobs FROM higher)
        ) AS job
    ),
    line AS (
        (SELECT owner_id, 1 AS number
         FROM jobs
         WHERE status = 'PENDING' AND due AND queue = :queue AND priority = :priority
         ORDER BY owner_id, available_at
         LIMIT 1)
        UNION ALL
        SELECT following.owner_id, number + 1
        FROM line
        CROSS JOIN LATERAL (
            SELECT owner_id
            FROM jobs
            WHERE status = 'PENDING' AND due AND queue = :queue AND priority = :priority AND owner_id > line.owner_id
            ORDER BY owner_id, available_at
            LIMIT 1
        ) AS following
        WHERE number <= :owners
    ),
    others AS (
        SELECT count(*) AS jobs, COALESCE(max(number), 0) AS owners
        FROM (
            SELECT number
            FROM line
            CROSS JOIN LATERAL (
                SELECT 1
                FROM jobs
                WHERE status = 'PENDING' AND due AND queue = :queue AND priority = :priority
                  AND owner_id = line.owner_id
                ORDER BY available_at, id
                LIMIT (SELECT own.jobs FROM own) + 1
            ) AS job
            WHERE line.owner_id <> :owner_id
            LIMIT :cap - (SELECT higher.jobs + own.jobs FROM higher, own)
        ) AS job
    )
    SELECT higher.jobs + own.jobs + others.jobs, own.jobs,
           higher.jobs + own.jobs + others.jobs >= :cap OR others.owners > :owners
    FROM higher, own, others
""")

SERVING = text("""
    WITH serving AS MATERIALIZED (
        SELECT id, NULLIF(CAST(pace ->> :queue AS double precision), 0) AS seconds
        FROM workers
        WHERE :queue = ANY(queues) AND heartbeat_at > now() - :lease
    ),
    running AS MATERIALIZED (
        SELECT queue, owner_id, worker_id
        FROM jobs
        WHERE status = 'IN_PROGRESS'
    )
    SELECT paused, running_limit, owner_running_limit,
           (SELECT count(*) FROM running WHERE queue = name) AS running,
           (SELECT count(*) FROM running WHERE queue = name AND owner_id = :owner_id) AS own,
           (SELECT count(*) FROM serving) AS workers,
           (SELECT count(DISTINCT worker_id) FROM running WHERE worker_id IN (SELECT id FROM serving)) AS busy,
           (SELECT sum(1 / seconds) FROM serving) AS jobs_per_second,
           now() AS now
    FROM queues
    WHERE name = :queue
""")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a queue stands; `waiting` counts up to one above the cap, `oldest_seconds` is the longest wait."""

    name: str
    paused: bool
    running_limit: int | None
    owner_running_limit: int | None
    waiting: int
    running: int
    workers: int
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True)
class Ahead:
    """How many jobs go before one: all, and those of its own owner; `capped` if counting ended early."""

    jobs: int
    own: int
    capped: bool


@dataclass(frozen=True, slots=True)
class Serving:
    """Who serves a queue, and within which limits. `running_own`: of the job's owner. `now`: the database's clock.

    `busy` of the `workers` have work, of whichever queue; `jobs_per_second` is what all of them together can do.
    """

    paused: bool
    running_limit: int | None
    owner_running_limit: int | None
    running: int
    running_own: int
    workers: int
    busy: int
    jobs_per_second: float | None
    now: Any


async def standing(session: AsyncSession, lease: timedelta, name: str | None = None) -> list[Standing]:
    """How queues stand, or one of them."""
    rows = await session.execute(STANDING, {"cap": CAP, "owners": MOST_OWNERS, "lease": lease, "name": name})
    return [Standing(*row) for row in rows]


async def change(session: AsyncSession, name: str, **values: object) -> bool:
    """Set columns of a queue; False when there is none of this name."""
    found = await session.scalar(update(Queue).where(Queue.name == name).values(**values).returning(Queue.name))
    return found is not None


async def exists(session: AsyncSession, name: str) -> bool:
    return await session.scalar(select(Queue.name).where(Queue.name == name)) is not None


async def serving(session: Executor, queue: str, owner_id: UUID, lease: timedelta) -> Serving | None:
    """Who serves a queue; None when it has never had a job."""
    row = (await session.execute(SERVING, {"queue": queue, "owner_id": owner_id, "lease": lease})).first()
    return Serving(*row) if row is not None else None


async def ahead(session: Executor, job: JobRow) -> Ahead:
    """How many jobs go before a waiting one, counted up to the cap."""
    values = {
        "id": job.id,
        "queue": job.queue,
        "priority": job.priority,
        "owner_id": job.owner_id,
        "available_at": job.available_at,
        "cap": CAP,
        "owners": MOST_OWNERS,
    }
    row = (await session.execute(AHEAD, values)).first()
    return Ahead(*row) if row is not None else Ahead(0, 0, capped=False)
