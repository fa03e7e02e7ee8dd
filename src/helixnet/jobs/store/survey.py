"""The SQL of metrics: how many jobs are in which state, from what PostgreSQL knows anyway.

Nothing here walks a table. What waits for its time and what runs is counted in their own small indexes, up to a cap;
how many have ended is an estimate that autovacuum keeps.
"""

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


async def alive(session: AsyncSession) -> tuple[int, int, int]:
    """How many jobs wait for a later time, and how many run, up to the cap; and the size of the database in bytes."""
    later, running, size = (await session.execute(ALIVE, {"cap": CAP})).one()
    return later, running, size


async def ended(session: AsyncSession) -> dict[Status, float]:
    """About how many jobs have ended, by state."""
    known = {state: float(count) for state, count in await session.execute(ENDED)}
    return {status: known.get(status.value, 0.0) for status in FINAL}
