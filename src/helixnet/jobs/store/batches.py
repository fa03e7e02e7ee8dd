"""The SQL that answers questions about batches."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.jobs.models import Batch, Job
from helixnet.jobs.states import Status


async def get(session: AsyncSession, batch_id: UUID, owner_id: UUID | None) -> Batch | None:
    """The batch, if it is the owner's; with None for owner, anybody's."""
    statement = select(Batch).where(Batch.id == batch_id)
    if owner_id is not None:
        statement = statement.where(Batch.owner_id == owner_id)
    batch: Batch | None = await session.scalar(statement)
    return batch


async def page(session: AsyncSession, owner_id: UUID | None, after: UUID | None, limit: int) -> Sequence[Batch]:
    """Batches, newest first, older than `after`."""
    statement = select(Batch).order_by(Batch.id.desc()).limit(limit)
    if owner_id is not None:
        statement = statement.where(Batch.owner_id == owner_id)
    if after is not None:
        statement = statement.where(Batch.id < after)
    return (await session.scalars(statement)).all()


async def counts(session: AsyncSession, batch_ids: Sequence[UUID]) -> dict[UUID, dict[Status, int]]:
    """How many of each batch's jobs are in each state: at most 10,000 entries of jobs_batch_idx for each batch."""
    rows = await session.execute(
        select(Job.batch_id, Job.status, func.count())
        .where(Job.batch_id.in_(batch_ids))
        .group_by(Job.batch_id, Job.status)
    )
    found = {(batch_id, status): count for batch_id, status, count in rows}
    return {batch_id: {status: found.get((batch_id, status), 0) for status in Status} for batch_id in batch_ids}
