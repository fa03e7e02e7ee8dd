"""The API of failures: FAILED jobs by what failed and where."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from helixnet.jobs import failures
from helixnet.jobs.schemas import FailureList, JobPage
from helixnet.web.deps import CurrentReader, Platform
from helixnet.web.errors import SIGNED_IN, problems

router = APIRouter(prefix="/failures", tags=["failures"])


@router.get("", summary="Failures by kind", responses=problems(*SIGNED_IN))
async def by_kind(platform: Platform, reader: CurrentReader) -> FailureList:
    """The caller's FAILED jobs, grouped by what failed and where, the latest first."""
    async with platform.database.statement() as session:
        return await failures.by_kind(session, reader)


@router.get("/{fingerprint}", summary="Jobs that failed alike", responses=problems(*SIGNED_IN))
async def of_a_kind(
    platform: Platform,
    reader: CurrentReader,
    fingerprint: Annotated[str, Path(max_length=64, description="The kind of failure.")],
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many jobs at most.")] = 50,
) -> JobPage:
    """The caller's jobs that FAILED in this way, newest first, a page at a time; none for an unknown one."""
    async with platform.database.statement() as session:
        return await failures.of_a_kind(session, reader, fingerprint, cursor, limit)
