"""The SQL of what is kept for a time only: ended jobs that nobody has to remember any more."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.jobs.models import Job, JobArtifact, JobEvent
from helixnet.jobs.states import FINAL

# A stretch of the primary key: ids are made in the order of time, and rows that are to stay cost no more than others.
STRETCH = text("""
    SELECT id, status, finished_at < now() - :age AS is_old
    FROM jobs
    WHERE id > :after AND id < :before
    ORDER BY id
    LIMIT :limit
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
    chosen = await session.scalars(
        select(Job.id)
        .where(Job.id.in_(job_ids), Job.status.in_(FINAL), Job.finished_at < func.now() - age)
        .order_by(Job.id)
        .with_for_update(skip_locked=True)
    )
    ids = list(chosen)
    used = list(await session.scalars(select(JobArtifact.artifact_id).where(JobArtifact.job_id.in_(ids)).distinct()))
    await session.execute(delete(JobEvent).where(JobEvent.job_id.in_(ids)))
    await session.execute(delete(Job).where(Job.id.in_(ids)))
    return len(ids), used
