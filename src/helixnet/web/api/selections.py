"""The API for many jobs at once: cancel, retry and replay all that match a filter; and a job anew."""

from fastapi import APIRouter, status

from helixnet.jobs import selections
from helixnet.jobs.schemas import JobAccepted, JobSelection, Matched
from helixnet.jobs.selections import Commanded
from helixnet.web.api.jobs import JobId
from helixnet.web.deps import CurrentReader, Platform
from helixnet.web.errors import SIGNED_IN, NotFound, problems
from helixnet.web.state import State

router = APIRouter(tags=["jobs"])


@router.post("/jobs/cancel", summary="Cancel matching jobs", responses=problems(*SIGNED_IN))
async def cancel(platform: Platform, reader: CurrentReader, selection: JobSelection) -> Matched:
    """Cancels matching jobs that have not ended, 10,000 at most."""
    async with platform.database.transaction() as session:
        commanded = await selections.cancel(session, reader, selection)
    return _told(platform, commanded)


@router.post("/jobs/retry", summary="Retry matching jobs", responses=problems(*SIGNED_IN))
async def retry(platform: Platform, reader: CurrentReader, selection: JobSelection) -> Matched:
    """Puts matching FAILED and CANCELLED jobs back in line, 10,000 at most."""
    async with platform.database.transaction() as session:
        commanded = await selections.retry(session, platform.registry, reader, selection)
    return _told(platform, commanded)


@router.post("/jobs/replay", summary="Replay matching jobs", responses=problems(*SIGNED_IN))
async def replay(platform: Platform, reader: CurrentReader, selection: JobSelection) -> Matched:
    """Runs matching jobs that have ended anew, as new jobs, 10,000 at most.

    For more of them give `next_cursor` as `cursor`: without it the same jobs are run once more.
    """
    async with platform.database.transaction() as session:
        commanded = await selections.replay(session, platform.registry, reader, selection)
    return _told(platform, commanded)


@router.post(
    "/jobs/{job_id}/replay",
    summary="Replay a job",
    status_code=status.HTTP_201_CREATED,
    responses=problems(*SIGNED_IN, NotFound),
)
async def replay_one(platform: Platform, reader: CurrentReader, job_id: JobId) -> JobAccepted:
    """Runs a job anew, whatever its state, as a new job with the same parameters, files, queue and priority."""
    async with platform.database.transaction() as session:
        accepted = await selections.replay_one(session, platform.registry, reader, job_id)
    platform.tell(accepted.owner_id, accepted.queue)
    return accepted.answer


def _told(platform: State, commanded: Commanded) -> Matched:
    for owner_id in commanded.owners:
        platform.tell(owner_id)
    for queue in commanded.queues:
        platform.ringer.ring(queue)
    return commanded.answer
