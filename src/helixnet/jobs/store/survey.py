"""The SQL of metrics: how many jobs are in which state, from what PostgreSQL knows anyway.

Nothing here walks a table. What waits for its time and what runs is counted in their own small indexes, up to a cap;
how many have ended is an estimate that autovacuum keeps.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.jobs.states import FINAL, Status
from helixnet.jobs.store.queues import CAP

ALIVE = text("""
    SELECT (SELECT count(*) FROM (
               SELECT 1 FROM jobs WHERE status = 'PENDING' AND NOT due LIMIT :cap
           ) AS later),
           (SELECT count(*) FROM (SELECT 1 FROM jobs WHERE status = 'IN_PROGRESS' LIMIT :cap) AS running),
           pg_database_size(current_database())
""")

# The states among the rows of autovacuum's sample, as parts of how many rows it thinks there are. A table that was
# never looked at has none yet.
ENDED = text("""
    SELECT state, GREATEST(0, reltuples) * frequency
    FROM pg_class
    CROSS JOIN (
        SELECT unnest(CAST(CAST(most_common_vals AS text) AS text[])) AS state,
               unnest(most_common_freqs) AS frequency
        FROM pg_stats
        WHERE schemaname = current_schema AND tablename = 'jobs' AND attname = 'status'
    ) AS common
    WHERE pg_class.oid = CAST('jobs' AS regclass)
""")

# Of other roles PostgreSQL tells nothing here, unless ours may read all statistics.
OPEN_TRANSACTIONS = text("""
    SELECT pid, application_name AS name, state,
           CAST(EXTRACT(epoch FROM clock_timestamp() - xact_start) AS double precision) AS seconds
    FROM pg_stat_activity
    WHERE datname = current_database()
      AND backend_type = 'client backend'
      AND pid <> pg_backend_pid()
      AND xact_start < clock_timestamp() - :patience
    UNION ALL
    SELECT NULL, gid, 'prepared',
           CAST(EXTRACT(epoch FROM clock_timestamp() - prepared) AS double precision)
    FROM pg_prepared_xacts
    WHERE database = current_database()
      AND prepared < clock_timestamp() - :patience
    ORDER BY seconds DESC
    LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction of this database that has not ended: a session's, or, without a `pid`, a prepared one."""

    pid: int | None
    name: str
    state: str
    seconds: float


async def alive(session: AsyncSession) -> tuple[int, int, int]:
    """How many jobs wait for a later time, and how many run, up to the cap; and the size of the database in bytes."""
    later, running, size = (await session.execute(ALIVE, {"cap": CAP})).one()
    return later, running, size


async def ended(session: AsyncSession) -> dict[Status, float]:
    """About how many jobs have ended, by state."""
    known = {state: float(count) for state, count in await session.execute(ENDED)}
    return {status: known.get(status.value, 0.0) for status in FINAL}


async def open_transactions(session: AsyncSession, patience: timedelta, limit: int) -> list[OpenTransaction]:
    """Transactions that have been open for longer than `patience`, the oldest first."""
    rows = await session.execute(OPEN_TRANSACTIONS, {"patience": patience, "limit": limit})
    return [OpenTransaction(row.pid, row.name or "", row.state or "", row.seconds) for row in rows]
