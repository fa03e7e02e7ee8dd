"""The SQL of what is kept for a time only: ended jobs that nobody has to remember any more."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.jobs.states import FINAL

# A stretch of the primary key: ids are made in the order of time, and rows that are to stay cost no more than others.
STRETCH = text("""
    SELECT id, status, finished_at < now() - :age AS is_old
    FROM jobs
    WHERE id > :after AND id < :before
    ORDER BY id
    LIMIT :limit
""")

# One trip for all of it. The parts see the tables as they were before any of them; with arrays each is a look into an
# index.
DELETE_OLD = text("""
    WITH chosen AS MATERIALIZED (
        SELECT id
        FROM jobs
        WHERE id = ANY(CAST(:ids AS uuid[]))
          AND status = ANY(CAST(:final AS text[]))
          AND finished_at < now() - :age
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    ), untold AS (
        DELETE FROM job_events WHERE job_id = ANY(ARRAY(SELECT id FROM chosen))
    ), gone AS (
        DELETE FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM chosen))
    )
    SELECT (SELECT count(*) FROM chosen) AS deleted,
           ARRAY(
               SELECT DISTINCT artifact_id FROM job_artifacts WHERE job_id = ANY(ARRAY(SELECT id FROM chosen))
           ) AS used
""")


async def stretch(
    session: AsyncSession, age: timedelta, after: UUID, before: UUID, limit: int
) -> tuple[list[UUID], UUID | None]:
    """Look at up to `limit` jobs between two ids; answers those that ended `age` ago, and the last one looked at."""
    rows = (await session.execute(STRETCH, {"age": age, "after": after, "before": before, "limit": limit})).all()
    return [row.id for row in rows if row.is_old and row.status in FINAL], rows[-1].id if rows else None


async def delete_old(session: AsyncSession, job_ids: Sequence[UUID], age: timedelta) -> tuple[int, list[UUID]]:
    """Delete those of the jobs that still have been ended for so long, with their events.

    Answers how many, and the ids of the artifacts that they used.
    """
    values = {"ids": list(job_ids), "age": age, "final": [status.value for status in FINAL]}
    row = (await session.execute(DELETE_OLD, values)).one()
    return row.deleted, list(row.used)
