"""The SQL that answers questions about jobs. Every question about somebody's jobs carries the owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, delete, exists, literal, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from helixnet import tracing
from helixnet.artifacts.models import Artifact
from helixnet.db import Executor
from helixnet.jobs.models import Job, JobArtifact, JobEvent
from helixnet.jobs.states import FINAL, Status

# A filter without an index of its own looks through this many jobs for one page, and no further: the page may then
# be short, but it carries a cursor, and no question walks the whole table.
WINDOW = 5000
# The states that an index of the owner's jobs knows (jobs_ended_idx).
INDEXED_STATES = frozenset({Status.FAILED, Status.CANCELLED})


class JobRow(NamedTuple):
    """A job as its page shows it."""

    id: UUID
    owner_id: UUID
    batch_id: UUID | None
    processor: str
    params: Any
    payload: Any
    queue: str
    priority: int
    status: str
    attempt: int
    max_attempts: int
    available_at: datetime
    cancel_requested_at: datetime | None
    progress: float | None
    progress_message: str | None
    result_path: str | None
    result: Any
    error: Any
    fingerprint: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    trace: bytes | None

    @property
    def trace_id(self) -> str | None:
        """The trace that it was submitted in, in hex."""
        return tracing.trace_id(self.trace) if self.trace is not None else None


LOOK = text(
    f"""
    SELECT {", ".join(JobRow._fields)}
    FROM jobs
    WHERE id = :id AND (CAST(:owner_id AS uuid) IS NULL OR owner_id = :owner_id)
    """  # noqa: S608 - put together from constants of this file alone
)

HORIZON = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs from the newest to the oldest; `cursor` is the id to go on after, or None at the end."""

    jobs: Sequence[Job]
    cursor: UUID | None


async def get(session: AsyncSession, job_id: UUID, owner_id: UUID | None) -> Job | None:
    """The job, if it is the owner's; with None for owner, anybody's."""
    statement = select(Job).where(Job.id == job_id)
    if owner_id is not None:
        statement = statement.where(Job.owner_id == owner_id)
    job: Job | None = await session.scalar(statement)
    return job


async def look(session: Executor, job_id: UUID, owner_id: UUID | None) -> JobRow | None:
    """What there is to see of a job, if it is the owner's; with None for owner, anybody's."""
    row = (await session.execute(LOOK, {"id": job_id, "owner_id": owner_id})).first()
    return JobRow(*row) if row is not None else None


async def page(
    session: AsyncSession,
    *,
    owner_id: UUID | None,
    status: Status | None,
    processor: str | None,
    after: UUID | None,
    limit: int,
) -> Page:
    """A page of jobs, newest first."""
    statement = select(Job).order_by(Job.id.desc())
    if owner_id is not None:
        statement = statement.where(Job.owner_id == owner_id)
    if after is not None:
        statement = statement.where(Job.id < after)
    indexed = owner_id is not None and status in INDEXED_STATES
    if indexed:
        # Written into the statement: the index of these states is of no use to a plan that doesn't know which it is.
        statement = statement.where(Job.status == literal(status, literal_execute=True))
    if processor is None and (indexed or status is None):
        jobs = (await session.scalars(statement.limit(limit + 1))).all()
        return Page(jobs[:limit], jobs[limit - 1].id if len(jobs) > limit else None)
    return await _filtered_page(session, statement, status, processor, limit)


async def _filtered_page(
    session: AsyncSession, statement: Select[Job], status: Status | None, processor: str | None, limit: int
) -> Page:
    window = statement.limit(WINDOW).subquery()
    job = aliased(Job, window)
    matching = select(job).order_by(job.id.desc()).limit(limit + 1)
    if status is not None:
        matching = matching.where(job.status == status)
    if processor is not None:
        matching = matching.where(job.processor == processor)
    jobs = (await session.scalars(matching)).all()
    if len(jobs) > limit:
        return Page(jobs[:limit], jobs[limit - 1].id)
    edge: UUID | None = await session.scalar(select(window.c.id).order_by(window.c.id).limit(1))
    beyond = edge is not None and await session.scalar(
        statement.where(Job.id < edge).limit(1).with_only_columns(Job.id)
    )
    return Page(jobs, edge if beyond else None)


async def events(session: AsyncSession, job_id: UUID, after: int, limit: int) -> Sequence[JobEvent]:
    """A job's events with a number above `after`, in order."""
    statement = select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.seq > after)
    return (await session.scalars(statement.order_by(JobEvent.seq).limit(limit))).all()


async def horizon(session: AsyncSession) -> int:
    """The oldest transaction still open: everything before it is visible, for good and in order."""
    return int(await session.scalar(HORIZON) or 0)


async def tail(
    session: AsyncSession, after: tuple[int, int], before: int, owner_id: UUID | None, limit: int
) -> Sequence[JobEvent]:
    """Events of all jobs (or of one owner's) past the mark `after` = (transaction, id), up to the horizon `before`."""
    statement = select(JobEvent).where(tuple_(JobEvent.tx, JobEvent.id) > after, JobEvent.tx < before)
    if owner_id is not None:
        statement = statement.where(JobEvent.owner_id == owner_id)
    return (await session.scalars(statement.order_by(JobEvent.tx, JobEvent.id).limit(limit))).all()


async def link(session: AsyncSession, job_id: UUID, direction: str, attempt: int, artifacts: dict[str, UUID]) -> None:
    """Tie artifacts to a job, by role."""
    await link_many(session, direction, attempt, {job_id: artifacts})


async def link_many(session: AsyncSession, direction: str, attempt: int, jobs: dict[UUID, dict[str, UUID]]) -> None:
    """Tie artifacts to jobs, by job and role."""
    rows = [
        {"job_id": job_id, "direction": direction, "role": role, "attempt": attempt, "artifact_id": artifact_id}
        for job_id, artifacts in jobs.items()
        for role, artifact_id in artifacts.items()
    ]
    if rows:
        await session.execute(insert(JobArtifact), rows)


async def artifacts(session: AsyncSession, job_id: UUID) -> Sequence[tuple[JobArtifact, Artifact]]:
    """A job's inputs and outputs, in the order they were made."""
    rows = await session.execute(
        select(JobArtifact, Artifact)
        .join(Artifact, Artifact.id == JobArtifact.artifact_id)
        .where(JobArtifact.job_id == job_id)
        .order_by(JobArtifact.direction, Artifact.id)
    )
    return [(link, artifact) for link, artifact in rows]


async def delete_final(session: AsyncSession, job_id: UUID) -> bool:
    """Delete a job that has ended, with its events; False when it is still alive."""
    gone = await session.scalar(delete(Job).where(Job.id == job_id, Job.status.in_(FINAL)).returning(Job.id))
    if gone is None:
        return False
    await session.execute(delete(JobEvent).where(JobEvent.job_id == job_id))
    return True


async def unlinked(session: AsyncSession, artifact_ids: Sequence[UUID]) -> list[Artifact]:
    """Those of the artifacts that no job uses any more, locked against a submission that would use them."""
    chosen = Artifact.id.in_(artifact_ids)
    await session.execute(select(Artifact.id).where(chosen).order_by(Artifact.id).with_for_update())
    # A statement of its own: only after the lock is had can it see who came to use them meanwhile.
    used = exists().where(JobArtifact.artifact_id == Artifact.id)
    return list(await session.scalars(select(Artifact).where(chosen, ~used)))
