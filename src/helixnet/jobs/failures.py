"""The rules of failures: which kinds there are, how often they happened, and to which jobs."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.jobs.schemas import FailureKind, FailureList, JobPage, JobSummary
from helixnet.jobs.service import Reader
from helixnet.jobs.states import Status
from helixnet.jobs.store import failures, selections
from helixnet.jobs.store.selections import Filter


async def by_kind(session: AsyncSession, reader: Reader) -> FailureList:
    """The reader's FAILED jobs by kind, the latest first."""
    kinds, more = await failures.kinds(session, reader.owner_id)
    items = [
        FailureKind(
            fingerprint=kind.fingerprint,
            processor=kind.processor,
            error=kind.error,
            count=min(kind.jobs, failures.MOST_COUNTED),
            count_is_capped=kind.jobs > failures.MOST_COUNTED,
            first_job_id=kind.first_job_id,
            first_at=kind.first_at,
            latest_job_id=kind.last_job_id,
            latest_at=kind.last_at,
        )
        for kind in kinds
    ]
    return FailureList(items=items, more=more)


async def of_a_kind(
    session: AsyncSession, reader: Reader, fingerprint: str, cursor: UUID | None, limit: int
) -> JobPage:
    """A page of the reader's jobs that FAILED in this way, newest first."""
    wanted = Filter(states=(Status.FAILED,), fingerprint=fingerprint, before=cursor)
    found, following = await selections.matching(session, reader.owner_id, wanted, limit)
    jobs = await selections.full(session, [job.id for job in found])
    items = [JobSummary.model_validate(job) for job in jobs]
    return JobPage(items=items, next_cursor=str(following) if following else None)
