"""The doctor's SQL. Every statement is a look into an index, or ends at a limit that it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

SERVER = text("""
    SELECT CAST(current_setting('server_version_num') AS integer) / 10000 AS version,
           current_setting('server_version') AS version_text,
           pg_is_in_recovery() AS standby,
           current_setting('transaction_read_only') = 'on' AS read_only,
           clock_timestamp() AS clock,
           CAST(current_setting('max_connections') AS integer) AS most_connections,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections
""")

# Milliseconds, or on/off, as the session has them.
SETTINGS = text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)")

SEES_OTHERS = text("SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')")

BEATS = text("""
    SELECT count(*)
    FROM pg_stat_activity
    WHERE application_name = 'helixnet beat' AND datname = current_database()
""")

DEAD_WORKERS = text("""
    SELECT host, pid, CAST(EXTRACT(epoch FROM now() - heartbeat_at) AS double precision) AS silent_seconds
    FROM workers
    WHERE heartbeat_at < now() - :lease
    ORDER BY heartbeat_at
    LIMIT :limit
""")

ALIVE = text("SELECT count(*) FROM workers WHERE heartbeat_at >= now() - :lease")

# Jobs that run are few: as many as the workers hold, in an index of their own.
STUCK = text("""
    SELECT jobs.id,
           CASE WHEN workers.id IS NULL THEN 'its worker is gone'
                WHEN heartbeat_at < now() - :lease - :patience THEN 'its worker is silent'
                ELSE 'its time is over' END AS reason
    FROM jobs
    LEFT JOIN workers ON workers.id = jobs.worker_id
    WHERE status = 'IN_PROGRESS'
      AND (workers.id IS NULL AND jobs.started_at < now() - :patience
           OR heartbeat_at < now() - :lease - :patience
           OR deadline_at < now() - :patience)
    ORDER BY jobs.id
    LIMIT :limit
""")

UNRIPE = text("""
    SELECT count(*)
    FROM (
        SELECT 1 FROM jobs WHERE status = 'PENDING' AND NOT due AND available_at < now() - :patience LIMIT :limit
    ) AS late
""")

UNPURGED = text("""
    SELECT count(*)
    FROM (SELECT 1 FROM doomed_prefixes WHERE due_at < now() - :patience LIMIT :limit) AS late
""")

# The longest that a job of those that wait or run may take: of a bounded number of each.
LONGEST_JOB = text("""
    SELECT max(time_limit)
    FROM (
        (SELECT time_limit FROM jobs WHERE status = 'IN_PROGRESS' LIMIT :limit)
        UNION ALL
        (SELECT time_limit FROM jobs WHERE status = 'PENDING' AND due LIMIT :limit)
    ) AS job
""")

# The newest, then onwards to the older ones: ids are in the order of time.
NEWEST_ARTIFACTS = text("""
    SELECT id, storage_key, size
    FROM artifacts
    WHERE CAST(:before AS uuid) IS NULL OR id < :before
    ORDER BY id DESC
    LIMIT :limit
""")

STILL_THERE = text("SELECT id FROM artifacts WHERE id = ANY(:ids)")

# Which of these keys have neither a row nor an announcement, by which housekeeping will look at them. An announcement
# is for a prefix that ends at a slash, so it is looked up for every beginning of a key that does.
UNKNOWN_KEYS = text("""
    SELECT key
    FROM unnest(CAST(:keys AS text[])) AS key
    WHERE NOT EXISTS (SELECT 1 FROM artifacts WHERE storage_key = key)
      AND NOT EXISTS (
          SELECT 1
          FROM doomed_prefixes
          WHERE prefix = ANY(ARRAY(
              SELECT left(key, place) FROM generate_series(1, length(key)) AS place WHERE substr(key, place, 1) = '/'
          ))
      )
    ORDER BY key
""")


@dataclass(frozen=True, slots=True)
class Server:
    """PostgreSQL as a session of ours finds it; `clock` is its own."""

    version: int
    version_text: str
    standby: bool
    read_only: bool
    clock: datetime
    most_connections: int
    connections: int


async def server(session: AsyncSession) -> Server:
    return Server(*(await session.execute(SERVER)).one())


async def settings(session: AsyncSession, names: Sequence[str]) -> dict[str, str]:
    """What the session has; names that the server does not know are left out."""
    rows = await session.execute(SETTINGS, {"names": list(names)})
    return {row.name: row.setting for row in rows}


async def sees_other_roles(session: AsyncSession) -> bool:
    """Whether our role may know what the sessions of others do."""
    return bool(await session.scalar(SEES_OTHERS))


async def beats(session: AsyncSession) -> int:
    """How many connections beats hold."""
    return int(await session.scalar(BEATS) or 0)


async def dead_workers(session: AsyncSession, lease: timedelta, limit: int) -> list[tuple[str, int, float]]:
    """Host, pid and seconds of silence of worker processes whose lease is over."""
    rows = await session.execute(DEAD_WORKERS, {"lease": lease, "limit": limit})
    return [(row.host, row.pid, row.silent_seconds) for row in rows]


async def alive_workers(session: AsyncSession, lease: timedelta) -> int:
    return int(await session.scalar(ALIVE, {"lease": lease}) or 0)


async def stuck_jobs(
    session: AsyncSession, lease: timedelta, patience: timedelta, limit: int
) -> list[tuple[UUID, str]]:
    """Running jobs that housekeeping should have taken back, each with the reason."""
    values = {"lease": lease, "patience": patience, "limit": limit}
    return [(row.id, row.reason) for row in await session.execute(STUCK, values)]


async def unripe(session: AsyncSession, patience: timedelta, limit: int) -> int:
    """How many jobs have a start time in the past and are in no line yet, counted up to the limit."""
    return int(await session.scalar(UNRIPE, {"patience": patience, "limit": limit}) or 0)


async def unpurged(session: AsyncSession, patience: timedelta, limit: int) -> int:
    """How many prefixes should have been cleaned up, counted up to the limit."""
    return int(await session.scalar(UNPURGED, {"patience": patience, "limit": limit}) or 0)


async def longest_job(session: AsyncSession, limit: int) -> timedelta | None:
    """The longest time limit of the jobs that wait or run, of up to `limit` of each."""
    longest: timedelta | None = await session.scalar(LONGEST_JOB, {"limit": limit})
    return longest


async def artifacts(session: AsyncSession, before: UUID | None, limit: int) -> list[tuple[UUID, str, int]]:
    """Id, storage key and size of the newest artifacts before one."""
    rows = await session.execute(NEWEST_ARTIFACTS, {"before": before, "limit": limit})
    return [(row.id, row.storage_key, row.size) for row in rows]


async def rows_among(session: AsyncSession, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these artifacts still have their rows."""
    return set(await session.scalars(STILL_THERE, {"ids": list(ids)}))


async def unknown_keys(session: AsyncSession, keys: Sequence[str]) -> list[str]:
    """Which of these storage keys nothing in the database knows of."""
    possible = [key for key in keys if "\0" not in key]
    found: Sequence[Any] = (await session.scalars(UNKNOWN_KEYS, {"keys": possible})).all()
    return list(found)
