"""Claims: which jobs a worker process gets, and in which order.

The highest priority goes first. Within one priority every owner has a line, the oldest job at its head, and a claim
goes round the owners that wait, starting behind the one it served last, with equal parts of the slice: nobody starves
however many jobs another has brought. The cost grows neither with the jobs that wait, since each step is one look into
jobs_line_idx, nor with those that have gone, since the process remembers how far it has come in each line.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import Database, Executor, dump_json
from helixnet.jobs.store.lines import OTHERS, Lines
from helixnet.jobs.store.telling import telling


class ClaimedJob(NamedTuple):
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
    priority: int
    available_at: datetime
    waited_seconds: float = 0.0
    trace: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """How much a worker process wants to claim.

    At most `limit` jobs, and no more than fill `seconds` of work by what each processor's jobs cost (`costs`, in
    seconds); an unknown one is taken to fill all of it. A job whose worker was lost runs alone: if it is the one that
    kills its process, it shall take no other along. `lines` is what this process remembers of the queue.
    """

    limit: int = 1
    seconds: float = 1.0
    costs: dict[str, float] | None = None
    lines: Lines = field(default_factory=Lines)


def _first(what: str, whose: str = "") -> str:
    """Of the first job that is due in the queue and priority (`whose`: of some owners alone).

    Only jobs_line_idx has this order; by the owner alone the planner would walk the index of all their jobs.
    """
    return f"""
        SELECT {what}
        FROM jobs
        WHERE status = 'PENDING' AND due AND queue = :queue AND priority = level.number {whose}
        ORDER BY owner_id, available_at, jobs.id
        LIMIT 1
    """  # noqa: S608 - put together from constants of this file alone


# The lines in which a job of this priority is due, in the order of their turns, at most `limit`: in each stretch first
# the owners who are not known, then the one at its end, from the place on that is remembered.
LINE = f"""
    SELECT line.*
    FROM stretch
    CROSS JOIN LATERAL (
        (WITH RECURSIVE stranger AS (
            SELECT ({_first("owner_id", "AND owner_id > low AND owner_id < high")}) AS owner_id
            UNION ALL
            SELECT ({_first("owner_id", "AND owner_id > stranger.owner_id AND owner_id < high")})
            FROM stranger
            WHERE owner_id IS NOT NULL
        )
        SELECT owner_id, CAST('-infinity' AS timestamptz) AS at, low AS id
        FROM stranger
        WHERE owner_id IS NOT NULL)
        UNION ALL
        SELECT high, at, id
        WHERE ({_first("true", "AND owner_id = high AND (available_at, jobs.id) > (at, stretch.id)")})
    ) AS line
    WHERE stretch.level = here.level AND (here.level <> {OTHERS} OR ({_first("true")}))
    LIMIT :limit
"""  # noqa: S608 - put together from constants of this file alone


def _claim(places: str, part: str, room: str) -> TextClause:
    """The claim's statement: `places` says whether one may claim here, `part` how much an owner gets, `room` all.

    Where to look for lines is given as stretches (see `Lines`), under a priority of its own or under OTHERS.
    """
    return telling(
        f"""
        place AS MATERIALIZED ({places}),
        stretch AS MATERIALIZED (
            SELECT *
            FROM unnest(
                CAST(:levels AS smallint[]), CAST(:lows AS uuid[]), CAST(:highs AS uuid[]),
                CAST(:times AS timestamptz[]), CAST(:ids AS uuid[])
            ) AS stretch (level, low, high, at, id)
        ),
        next AS (
            SELECT job.*
            FROM place
            CROSS JOIN generate_series(9, 0, -1) AS level (number)
            CROSS JOIN LATERAL (
                SELECT COALESCE((SELECT level FROM stretch WHERE level = number LIMIT 1), {OTHERS})
            ) AS here (level)
            CROSS JOIN LATERAL (
                WITH line AS ({LINE})
                SELECT head.*
                FROM line
                CROSS JOIN LATERAL (
                    SELECT ctid AS place, processor, COALESCE(error ->> 'kind' = 'worker_lost', false) AS suspect
                    FROM jobs
                    WHERE status = 'PENDING' AND due AND queue = :queue AND priority = level.number
                      AND owner_id = line.owner_id AND (available_at, jobs.id) > (line.at, line.id)
                      AND available_at <= now()
                    ORDER BY available_at, jobs.id
                    LIMIT {part}
                    FOR UPDATE SKIP LOCKED
                ) AS head
            ) AS job
            LIMIT {room}
        ),
        ordered AS (
            SELECT place, suspect, row_number() OVER () AS number,
                   CASE WHEN suspect THEN :seconds
                        ELSE COALESCE(CAST(CAST(:costs AS jsonb) ->> processor AS double precision), :seconds)
                   END AS cost
            FROM next
        ),
        taken AS (
            SELECT place, number
            FROM (
                SELECT place, number, suspect, sum(cost) OVER (ORDER BY number) - cost AS before FROM ordered
            ) AS filled
            WHERE before < :seconds AND (number = 1 OR NOT suspect)
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
            FROM taken
            -- It is locked, so it is where it was; one that was moved meanwhile is left for the next claim.
            WHERE jobs.ctid = taken.place
            RETURNING jobs.id, owner_id, processor, params, payload, queue, attempt, max_attempts, time_limit,
                      priority, available_at, worker_id, events, number, trace,
                      CAST(EXTRACT(epoch FROM now() - available_at) AS double precision) AS waited_seconds
        )
        """,  # noqa: S608 - put together from constants of this file alone
        kind="'IN_PROGRESS'",
        data="json_build_object('worker', CAST(worker_id AS text))",
        answer=", ".join((*ClaimedJob._fields, "number")),
    )


# Where the answer has the job's place in the slice.
NUMBER = len(ClaimedJob._fields)

EQUAL_PART = "(SELECT (:limit + count(*) - 1) / count(*) FROM line)"

CLAIM = _claim(
    places="""
        SELECT name
        FROM queues
        WHERE name = :queue AND NOT paused AND running_limit IS NULL AND owner_running_limit IS NULL
          AND EXISTS (SELECT 1 FROM workers WHERE id = :worker_id)
    """,
    part=EQUAL_PART,
    room=":limit",
)

IS_LIMITED = text("""
    SELECT 1
    FROM queues
    WHERE name = :queue AND NOT paused AND (running_limit IS NOT NULL OR owner_running_limit IS NOT NULL)
""")

# Claims of a queue with a limit go one after the other, or two would both see the last free place.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('helixnet queue ' || CAST(:queue AS text), 0))")

CLAIM_LIMITED = _claim(
    places="""
        SELECT name,
               GREATEST(0, LEAST(:limit, running_limit - (
                   SELECT count(*) FROM jobs WHERE status = 'IN_PROGRESS' AND queue = :queue
               ))) AS room,
               owner_running_limit
        FROM queues
        WHERE name = :queue AND NOT paused AND EXISTS (SELECT 1 FROM workers WHERE id = :worker_id)
    """,
    part=f"""
        GREATEST(0, LEAST({EQUAL_PART}, (SELECT owner_running_limit FROM place) - (
            SELECT count(*)
            FROM jobs AS running
            WHERE running.status = 'IN_PROGRESS' AND running.queue = :queue AND running.owner_id = line.owner_id
        )))
    """,  # noqa: S608 - put together from constants of this file alone
    room="(SELECT room FROM place)",
)

RIPEN = text("""
    WITH ripe AS (
        SELECT id
        FROM jobs
        WHERE status = 'PENDING' AND NOT due AND available_at <= now()
        ORDER BY available_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs
    SET due = true
    FROM ripe
    WHERE jobs.id = ripe.id
    RETURNING queue
""")

# A look into jobs_line_idx for each known queue and priority.
WAITING = text("""
    SELECT name
    FROM queues
    WHERE NOT paused AND EXISTS (
        SELECT 1
        FROM generate_series(0, 9) AS level
        CROSS JOIN LATERAL (
            SELECT 1
            FROM jobs
            WHERE status = 'PENDING' AND due AND queue = name AND priority = level
            LIMIT 1
        ) AS job
    )
""")


HELD = text("SELECT id, attempt FROM jobs WHERE worker_id = :worker_id AND status = 'IN_PROGRESS' ORDER BY id")


async def claim(database: Database, worker_id: UUID, queue: str, wanted: Slice) -> list[ClaimedJob]:
    """Take a slice of a queue's due jobs, in the order to run them in; none while the queue is paused or at a limit.

    `wanted.lines` remembers what was taken.
    """
    values = {
        "worker_id": worker_id,
        "queue": queue,
        "limit": wanted.limit,
        "seconds": wanted.seconds,
        "costs": dump_json(wanted.costs or {}),
    } | wanted.lines.stretches(wanted.limit)
    rows: Sequence[Sequence[Any]]
    async with database.connection() as connection:
        rows = (await connection.execute(CLAIM, values)).all()
        if not rows and wanted.lines.forget():
            values |= wanted.lines.stretches(wanted.limit)
            rows = (await connection.execute(CLAIM, values)).all()
        limited = not rows and (await connection.execute(IS_LIMITED, {"queue": queue})).first() is not None
    if limited:
        async with database.transaction() as session:
            await session.execute(LOCK, {"queue": queue})
            rows = (await session.execute(CLAIM_LIMITED, values)).all()
    jobs = [ClaimedJob._make(row[:NUMBER]) for row in sorted(rows, key=itemgetter(NUMBER))]
    wanted.lines.served(jobs)
    return jobs


async def held(session: Executor, worker_id: UUID) -> list[tuple[UUID, int]]:
    """The jobs that a worker process runs according to the ledger, and which attempt of each."""
    return [(job_id, attempt) for job_id, attempt in await session.execute(HELD, {"worker_id": worker_id})]


async def ripen(session: Executor, limit: int) -> list[str]:
    """Put up to `limit` jobs whose start time has come into their lines; answers the queue of each."""
    return [queue for (queue,) in await session.execute(RIPEN, {"limit": limit})]


async def waiting_queues(session: AsyncSession) -> list[str]:
    """Queues that have work which is due, and may be claimed from."""
    return list(await session.scalars(WAITING))
